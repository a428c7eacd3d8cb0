"""The processes that the tests start, and how they end."""

import os
import shutil
import socket
import subprocess
import sys
import time

from cases import Missing


def free_port():
    """Returns a port that nobody has."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def program(name):
    """Returns the path of a program."""
    # Debian has some servers where only root looks.
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise Missing(name)
    return path


class Processes:
    """Servers that run until `stop`, with what they print in a file each."""

    def __init__(self, directory):
        self.directory = directory
        self.running = []

    def start(self, name, command, port, **options):
        """Starts a server, waits until something listens on its port, and returns its process."""
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
            )
        self.running.append(process)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return process
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{name} does not start:\n{log.read_text(errors='replace')}")
                time.sleep(0.02)

    def stop(self):
        """Ends all of them, the last one first."""
        while self.running:
            process = self.running.pop()
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
