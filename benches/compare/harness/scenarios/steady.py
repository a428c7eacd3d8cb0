"""A long time at a fixed rate: whether memory grows, and what latencies are over all of it."""

import json
import subprocess
import time
from statistics import mean

from .. import load
from ..failure import Failure
from ..figures import Figure
from ..verify import verify
from .base import Scenario

MEBIBYTE = 1 << 20
# Until then every key had its turn and what is kept for a while is there.
SETTLED = 1 / 3
SAMPLES_MAX = 240


class Steady(Scenario):
    """Requests at random instants of a fixed mean rate, all keys, for `--minutes`."""

    name = "steady"
    title = "memory over a long time at a fixed rate"
    figures = (
        Figure("settled_mib", "after a third, MiB"),
        Figure("end_mib", "at the end, MiB"),
        Figure("most_mib", "most, MiB"),
        Figure("growth_mib", "growth from then on, MiB/h", digits=2),
        Figure("p50", "p50 µs", digits=0),
        Figure("p99", "p99 µs", digits=0, ratio=True),
        Figure("cpu_us", "CPU µs/request", ratio=True),
    )
    fresh = True
    extra = True
    rounds_max = 1

    def measure(self, run, contestant, instance):
        """One process from its start on, looked at while the load goes on."""
        seconds = run.options.minutes * 60
        instance = contestant.start(run.stage, run.workload)
        try:
            verify(contestant, instance, run.workload)
            used = instance.cpu_seconds()
            told, samples = self._load(run, instance, seconds)
            instance.finish()
            used = instance.cpu_seconds() - used
            instance.check_alive()
        finally:
            instance.stop()
        requests = sum(told["statuses"].values())
        refused = requests - told["statuses"].get("200", 0)
        counted = load.Counted(requests, refused, told["unanswered"], seconds)
        settled = [(at, mib) for at, mib in samples if at >= seconds * SETTLED]
        memory = {
            "settled_mib": settled[0][1],
            "end_mib": settled[-1][1],
            "most_mib": max(mib for _, mib in samples),
            "growth_mib": slope(settled) * 3600,
            "samples": samples,
        }
        cost = {"requests": requests, "cpu_us": used / max(1, requests) * 1e6}
        return told | memory | cost | {"problem": counted.problem(200)}

    def _load(self, run, instance, seconds):
        """Runs the client, and gives what it tells and the memory by the second."""
        endpoint, keys = instance.endpoints["checked"], run.workload.keys_file("paying")
        arguments = (endpoint.port, endpoint.path, keys, run.options.rate, seconds)
        command = load.client("pace", *arguments, run.options.connections)
        pipe = subprocess.PIPE
        client = run.stage.processes.start(command, stdout=pipe, stderr=pipe, text=True)
        begin, period, samples = time.monotonic(), max(1.0, seconds / SAMPLES_MAX), []
        try:
            while client.poll() is None and time.monotonic() < begin + seconds:
                samples.append((round(time.monotonic() - begin), instance.memory_bytes() / MEBIBYTE))
                time.sleep(period)
            out, err = client.communicate(timeout=60)
        finally:
            run.stage.processes.stop(client)
        if client.returncode != 0:
            raise Failure(f"the client failed ({client.returncode}): {err.strip()[-2000:]}")
        return json.loads(out), samples


def slope(points):
    """By how much the second coordinate grows with the first: the line of least squares."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    middle = mean(xs)
    width = sum((x - middle) ** 2 for x in xs)
    if not width:
        return 0.0
    return sum((x - middle) * (y - mean(ys)) for x, y in points) / width
