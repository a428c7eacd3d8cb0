"""Starts processes and ends every one of them by its own id, however the run ends."""

import ctypes
import os
import signal
import socket
import subprocess
import time

from .failure import Failure

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Processes:
    """All processes of a run. Leaving the `with` block ends those that still live."""

    def __init__(self):
        self._alive = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Whoever is impatient shall not leave something behind.
        for impatience in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(impatience, signal.SIG_IGN)
        for process in list(self._alive):
            self.stop(process)

    def start(self, command, **options):
        """Starts a process in a group of its own, which a Ctrl-C at the terminal does not reach."""
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(
            [str(part) for part in command],
            start_new_session=True,
            preexec_fn=_die_with_parent,
            **options,
        )
        self._alive.append(process)
        return process

    def output(self, command, seconds, **options):
        """Runs a command to its end and returns what it printed; a failure of it is a Failure."""
        process = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{command[0]} did not end within {seconds} s") from None
        finally:
            self.stop(process)
        if process.returncode != 0:
            raise Failure(f"{command[0]} failed ({process.returncode}): {(err or out).strip()[-2000:]}")
        return out

    def stop(self, process, seconds=8):
        """Asks a process to end, and after that time ends its whole group."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        # Workers that outlived their master are in its group, and the group's id is our child's.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        if process in self._alive:
            self._alive.remove(process)


def free_port():
    """A port that nobody has now. It is below the range for outgoing connections, which could take it."""
    first, last = 18000, 30000
    for _ in range(1000):
        port = first + int.from_bytes(os.urandom(4), "big") % (last - first)
        if port in _GIVEN:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _GIVEN.add(port)
        return port
    raise Failure("no free port was found between 18000 and 30000")


_GIVEN = set()


def wait_for_port(process, port, name, log, seconds=120):
    """Waits until a process takes connections; says what it printed when it ends instead."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"{name} ended at its start ({process.returncode}):\n{_tail(log)}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failure(f"{name} did not listen within {seconds} s:\n{_tail(log)}")


def _tail(path):
    try:
        return path.read_text(errors="replace").strip()[-2000:]
    except OSError:
        return "(it printed nothing)"
