"""A fixed rate, well below what anyone can do: how long answers take then."""

import json

from .. import load
from ..figures import Figure
from .base import Scenario, loaded


class Pace(Scenario):
    """Requests at random instants of a fixed mean rate, all keys."""

    name = "pace"
    title = "a fixed rate, latencies from the moment a request is due"
    figures = (
        Figure("p50", "p50 µs", digits=0),
        Figure("p90", "p90 µs", digits=0),
        Figure("p99", "p99 µs", digits=0, ratio=True),
        Figure("p999", "p99.9 µs", digits=0),
        Figure("cpu_us", "CPU µs/request", ratio=True),
    )

    def measure(self, run, contestant, instance):
        """The client of our own; its details stand beside the processor time."""
        endpoint, last = instance.endpoints["checked"], {}

        def send(seconds):
            keys = run.workload.keys_file("paying")
            arguments = (endpoint.port, endpoint.path, keys, run.options.rate, seconds)
            command = load.client("pace", *arguments, run.options.connections)
            last.clear()
            last.update(json.loads(run.stage.processes.output(command, seconds + 60)))
            requests = sum(last["statuses"].values())
            refused = requests - last["statuses"].get("200", 0)
            return load.Counted(requests, refused, last["unanswered"], seconds)

        told = loaded(run, contestant, instance, 200, send)
        return told | last
