"""What every contestant is started with, and a contestant once it runs."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from . import system
from .failure import Failure

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
CHECKED_PATH = "/v1/items"
PLAIN_PATH = "/public/items"


@dataclass
class Stage:
    """The surroundings of a run: directories, the upstream, and how much each contestant may use."""

    processes: object
    directory: Path
    workers: int
    descriptors: int
    certificate: tuple
    binary: Path = None
    baseline: Path = None
    upstream: object = None
    upstream_port: int = 0
    # Faregate's stores with the customers imported, by binary and number of keys.
    stores: dict = field(default_factory=dict)
    _started: int = 0

    def fresh_directory(self, name):
        """A directory for one start of one contestant."""
        self._started += 1
        directory = self.directory / f"{self._started:02}-{name}"
        directory.mkdir()
        return directory

    def connections_max(self):
        """How many connections a contestant may be told to take: each may need two descriptors."""
        return min(20_000, (self.descriptors - 200) // 2)


@dataclass(frozen=True)
class Endpoint:
    """Where requests go."""

    port: int
    path: str
    scheme: str = "http"

    @property
    def url(self):
        """The whole address."""
        return f"{self.scheme}://127.0.0.1:{self.port}{self.path}"


@dataclass
class Instance:
    """A contestant that runs."""

    name: str
    stage: Stage
    processes: list
    # "checked", "plain" (the same proxy without checks) and, where it has TLS, "tls".
    endpoints: dict
    log: Path
    # What stands before the status in a line of its log; None when the log has no file.
    status_mark: bytes = None
    # A command after which nothing of the load is left to be done; None where nothing is put off.
    finishing: list = None
    # Whether it had a load before.
    is_warm: bool = False
    # Logs of further processes, such as one that has TLS.
    more_logs: list = field(default_factory=list)

    def cpu_seconds(self):
        """Processor time used so far by all its processes."""
        return sum(system.cpu_seconds(process.pid) for process in self.processes)

    def finish(self):
        """Makes it do now what it would do later of the load, so that this is counted too."""
        if self.finishing is not None:
            self.stage.processes.output(self.finishing, seconds=60)

    def memory_bytes(self):
        """Memory of all its processes."""
        return sum(system.memory_bytes(process.pid) for process in self.processes)

    def pids(self):
        """The ids of all its processes."""
        return [pid for process in self.processes for pid in system.family(process.pid)]

    def check_alive(self):
        """Fails when one of its processes has ended."""
        for process in self.processes:
            if process.poll() is not None:
                raise Failure(f"{self.name} ended ({process.returncode})")

    def stop(self):
        """Ends it."""
        for process in self.processes:
            self.stage.processes.stop(process)

    def empty_log(self):
        """Empties the access log, which every contestant opens for appending."""
        if self.status_mark is not None:
            for log in [self.log, *self.more_logs]:
                with open(log, "r+b") as file:
                    file.truncate(0)

    def logged(self, requests):
        """How many lines the log has, by status; it waits up to two seconds for as many as there were requests."""
        if self.status_mark is None:
            return None
        deadline = time.monotonic() + 2
        while True:
            text = b"".join(log.read_bytes() for log in [self.log, *self.more_logs])
            lines = text.count(b"\n")
            if lines >= requests or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        counts = {status: text.count(self.status_mark + str(status).encode()) for status in (200, 401, 402)}
        return counts | {"lines": lines}


def render(template, into, values):
    """Fills the places of a template, written @name@, and writes it; an unknown place is a mistake."""
    text = fill((TEMPLATES / template).read_text(), values)
    into.write_text(text)
    return into


def fill(text, values):
    """Fills the places of a text, and those in what was put there."""
    for _ in range(2):
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
    return text
