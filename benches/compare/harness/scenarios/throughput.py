"""Requests as fast as they are answered: forwards, refusals, and what the checks add."""

from ..figures import Figure
from .base import Scenario, loaded, wrk_to

CPU = Figure("cpu_us", "CPU µs/request", ratio=True)
RATE = Figure("per_second", "requests/s", digits=0)


class Requests(Scenario):
    """Requests with keys of one kind, to which all answers have one status."""

    figures = (CPU, RATE)
    programs = ("wrk",)

    def __init__(self, name, title, keys, status):
        self.name = name
        self.title = title
        self._keys = keys
        self._status = status

    def lacks(self, contestant, run, instance):
        """A contestant without the check in question cannot refuse."""
        if self._status == 401 and not contestant.checks_keys:
            return "checks no keys"
        if self._status == 402 and not contestant.counts:
            return "counts nothing"
        return None

    def measure(self, run, contestant, instance):
        """The endpoint with checks, under wrk."""
        generate = wrk_to(run, instance.endpoints["checked"], run.workload.keys_file(self._keys))
        return loaded(run, contestant, instance, self._status, generate)


class Checks(Scenario):
    """The same proxy with and without its checks, one after the other."""

    name = "checks"
    title = "what the checks add to forwarding, by the same proxy without them"
    figures = (
        Figure("plain_us", "without checks, CPU µs", ratio=True),
        Figure("checked_us", "with checks, CPU µs"),
        Figure("checks_us", "the checks, CPU µs", ratio=True),
    )
    programs = ("wrk",)

    def lacks(self, contestant, run, instance):
        """A contestant without checks has nothing to subtract."""
        return None if contestant.checks_keys else "checks nothing"

    def measure(self, run, contestant, instance):
        """Both loads, and their difference."""
        checked, plain = instance.endpoints["checked"], instance.endpoints["plain"]
        told = {}
        loads = (("plain", plain, None), ("checked", checked, run.workload.keys_file("paying")))
        for name, endpoint, keys in loads:
            one = loaded(run, contestant, instance, 200, wrk_to(run, endpoint, keys))
            told[name] = one
            told[f"{name}_us"] = one.get("cpu_us")
            told["others"] = max(told.get("others", 0.0), one["others"])
            for kind in ("problem", "remark"):
                told[kind] = told.get(kind) or one.get(kind)
        if told["problem"] is None:
            told["checks_us"] = told["checked_us"] - told["plain_us"]
        return told
