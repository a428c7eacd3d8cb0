"""Memory: of connections that wait, and of keys. Every measurement begins with a fresh process."""

import subprocess
import time

from .. import load
from ..failure import Failure
from ..figures import Figure
from ..verify import verify
from .base import Scenario

SETTLE_SECONDS = 1.0
# How long wrk may take to use every key once; the next length is tried when it was too short.
KEY_SECONDS = (6, 18, 40)
MEBIBYTE = 1 << 20


class Idle(Scenario):
    """Connections that had one request each and then wait."""

    name = "idle"
    title = "memory of keep-alive connections that wait for their next request"
    figures = (
        Figure("before_mib", "before, MiB"),
        Figure("held_mib", "with them, MiB"),
        Figure("connection_kib", "KiB/connection", digits=2, ratio=True),
    )
    programs = ("wrk",)
    fresh = True

    def measure(self, run, contestant, instance):
        """What the process gained, divided by the number of connections."""
        number = run.options.idle
        if number > run.stage.connections_max() - 100:
            raise Failure(f"--idle {number} needs a higher limit on descriptors: ulimit -n {3 * number}")
        instance = _started(run, contestant, run.workload)
        try:
            before = instance.memory_bytes()
            held, still_open = self._hold(run, instance, number)
        finally:
            instance.stop()
        told = {"before_mib": before / MEBIBYTE, "held_mib": held / MEBIBYTE, "open": still_open}
        told["connection_kib"] = (held - before) / number / 1024
        if still_open < number:
            told["problem"] = f"it closed {number - still_open} of {number} connections"
        return told

    def _hold(self, run, instance, number):
        endpoint = instance.endpoints["checked"]
        command = load.client("hold", endpoint.port, endpoint.path, run.workload.hot, number)
        pipe = subprocess.PIPE
        holder = run.stage.processes.start(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        try:
            if not holder.stdout.readline().startswith("held"):
                raise Failure(f"{instance.name} took no {number} connections: {holder.stderr.read()}")
            time.sleep(SETTLE_SECONDS)
            held = instance.memory_bytes()
            out, _ = holder.communicate(timeout=30)
        finally:
            run.stage.processes.stop(holder)
        return held, int(out.split()[-1])


class Keys(Scenario):
    """The keys, before and after each was used once."""

    name = "keys"
    title = "memory of keys: all of them against two, at rest and after each was used"
    figures = (
        Figure("few_mib", "two keys, MiB"),
        Figure("many_mib", "all keys, MiB"),
        Figure("used_mib", "all used, MiB"),
        Figure("rest_bytes", "bytes/key at rest", digits=0, ratio=True),
        Figure("used_bytes", "bytes/key used", digits=0, ratio=True),
    )
    programs = ("wrk",)
    fresh = True

    def lacks(self, contestant, run, instance):
        """Without checks there are no keys to keep."""
        return None if contestant.checks_keys else "knows no keys"

    def measure(self, run, contestant, instance):
        """Three readings of two processes."""
        few = _started(run, contestant, run.few)
        few_bytes = few.memory_bytes()
        few.stop()
        many = _started(run, contestant, run.workload)
        many_bytes = many.memory_bytes()
        asked = self._use_all(run, many)
        used_bytes = many.memory_bytes()
        many.stop()
        keys = run.workload.total
        told = {
            "few_mib": few_bytes / MEBIBYTE,
            "many_mib": many_bytes / MEBIBYTE,
            "used_mib": used_bytes / MEBIBYTE,
            "rest_bytes": (many_bytes - few_bytes) / keys,
            "used_bytes": (used_bytes - few_bytes) / keys,
        }
        if asked < len(run.workload.paying):
            told["remark"] = f"only {asked} keys were used in {KEY_SECONDS[-1]} s"
        return told

    def _use_all(self, run, instance):
        """Calls with one key after the other until all had their turn."""
        keys, endpoint = run.workload.keys_file("paying"), instance.endpoints["checked"]
        for seconds in KEY_SECONDS:
            counted = load.wrk(run.stage.processes, endpoint, keys, seconds, run.options.connections)
            if counted.requests >= len(run.workload.paying):
                break
        time.sleep(SETTLE_SECONDS)
        return counted.requests


def _started(run, contestant, workload):
    """A fresh instance that has been verified and has had some traffic on one key."""
    instance = contestant.start(run.stage, workload)
    verify(contestant, instance, workload)
    keys, connections = workload.keys_file("hot"), run.options.connections
    load.wrk(run.stage.processes, instance.endpoints["checked"], keys, 1, connections)
    time.sleep(SETTLE_SECONDS)
    return instance
