"""Runs the load generators and reads what they counted."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from .failure import Failure

CLIENTS = Path(__file__).resolve().parent.parent / "clients"


@dataclass
class Counted:
    """What a load generator saw."""

    requests: int
    # Answers of status 400 and above.
    refused: int
    # Connections and requests that failed below HTTP.
    errors: int
    seconds: float

    def problem(self, status, stray=0.0):
        """What is wrong with these answers when all should have had one status; None when nothing is."""
        if self.requests == 0:
            return "no request was answered"
        if self.errors:
            return f"{self.errors} errors of connections"
        wrong = self.refused if status < 400 else self.requests - self.refused
        if wrong > stray * self.requests:
            return f"{wrong} of {self.requests} answers were not {status}"
        return None


def wrk(processes, endpoint, keys, seconds, connections):
    """wrk over connections that stay open, as fast as the contestant answers."""
    script = CLIENTS / "keys.lua"
    command = ["wrk", "-t", 1, "-c", connections, "-d", f"{seconds}s", "--timeout", "10s"]
    command += ["-s", script, endpoint.url, "--", keys or "-", 1]
    text = processes.output(command, seconds + 60)
    found = re.search(r"^RESULT (\{.*\})$", text, re.MULTILINE)
    if not found:
        raise Failure(f"wrk gave no result: {text[-500:]}")
    told = json.loads(found.group(1))
    errors = sum(told[kind] for kind in ("connect", "read", "write", "timeout"))
    return Counted(told["requests"], told["refused"], errors, told["microseconds"] / 1e6)


def h2load(processes, endpoint, key, seconds, connections):
    """h2load over HTTP/2: as many streams at once as wrk has connections, four on each connection."""
    command = ["h2load", "-t", 1, "-c", max(1, connections // 4), "-m", 4, "-D", seconds]
    command += ["-H", f"x-api-key: {key}", endpoint.url]
    text = processes.output(command, seconds + 60)
    if "Application protocol: h2" not in text:
        raise Failure(f"{endpoint.url} did not choose HTTP/2")
    requests = _number(r"requests: \d+ total, \d+ started, (\d+) done", text)
    errors = _number(r"(\d+) errored", text) + _number(r"(\d+) timeout", text)
    refused = _number(r"(\d+) 4xx", text) + _number(r"(\d+) 5xx", text)
    return Counted(requests, refused, errors, seconds)


def _number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise Failure(f"h2load's output has no {pattern}")
    return int(found.group(1))


def client(name, *arguments):
    """The command that runs one of the clients of this folder."""
    return [sys.executable, CLIENTS / f"{name}.py", *arguments]
