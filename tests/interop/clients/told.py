"""Client programs in other processes, which tell of their cases line by line."""

import json
import subprocess

from cases import expect


def run(cases, customer, client, server, command, environment=None):
    """Runs a client program and tells of its cases."""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as process:

        def read():
            for line in process.stdout:
                one = json.loads(line)
                customer.calls += one["calls"]
                cases.tell(client, server, one["what"], one["failure"], one["seconds"])
            expect("the program's end", (process.wait(), process.stderr.read()), (0, ""))

        try:
            cases.run(client, server, "to the end", read)
        finally:
            process.kill()


def lines(command, environment=None):
    """Starts a client program; returns it with what it says, line by line."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    return process, (json.loads(line) for line in process.stdout)
