"""Sends requests at random instants of a fixed mean rate, whether or not earlier ones were answered.

Arguments: port, path, file of keys, requests per second, seconds, connections. Prints JSON. A request
that waits for a free connection is waiting already; what this program itself is late is told apart.
"""

import ctypes
import gc
import json
import random
import select
import socket
import sys
import time
from collections import Counter, deque

PR_SET_TIMERSLACK = 29


class Connection:
    """A connection that stays open, with at most one request on it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.since = 0.0
        self._received = b""

    def fileno(self):
        """What `select` asks for."""
        return self.socket.fileno()

    def send(self, request, since):
        """Sends a request that has waited since then."""
        self.since = since
        self.socket.sendall(request)

    def receive(self):
        """Reads what is there; the status once the whole answer is, else None."""
        got = self.socket.recv(65536)
        if not got:
            raise ConnectionError("closed by the other side")
        self._received += got
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._received[:end].lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self._received) < end + 4 + length:
            return None
        self._received = b""
        return int(head[9:12])


def run(port, path, keys, rate, seconds, connections):
    """Times between noticing that a request is due and its whole answer, statuses, own lateness."""
    free = deque(Connection(port) for _ in range(connections))
    busy, waiting = set(), deque()
    template = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Api-Key: {{}}\r\n\r\n"
    requests = [template.format(key).encode() for key in keys]
    chance = random.Random(rate)
    latencies, lateness, statuses, sent = [], [], Counter(), 0
    begin = time.perf_counter()
    due = begin + chance.expovariate(rate)
    while due < begin + seconds or busy or waiting:
        now = time.perf_counter()
        while due <= now and due < begin + seconds:
            waiting.append(now)
            lateness.append(now - due)
            due += chance.expovariate(rate)
        while waiting and free:
            connection = free.popleft()
            connection.send(requests[sent % len(requests)], waiting.popleft())
            busy.add(connection)
            sent += 1
        pause = max(0.0, due - time.perf_counter()) if due < begin + seconds else 1.0
        for connection in select.select(list(busy), [], [], pause)[0]:
            status = connection.receive()
            if status is not None:
                latencies.append(time.perf_counter() - connection.since)
                statuses[status] += 1
                busy.discard(connection)
                free.append(connection)
        if time.perf_counter() > begin + seconds + 20:
            break
    return latencies, lateness, statuses, sent - len(latencies)


def percentile(ordered, share):
    """A percentile in microseconds."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e6, 1)


def main():
    """Runs and prints."""
    port, rate, seconds, connections = (int(sys.argv[n]) for n in (1, 4, 5, 6))
    with open(sys.argv[3], encoding="ascii") as file:
        keys = file.read().split()
    # Waits end when they should and not up to 50 µs later.
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)
    gc.disable()
    latencies, lateness, statuses, unanswered = run(port, sys.argv[2], keys, rate, seconds, connections)
    latencies.sort()
    lateness.sort()
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    told = {name: percentile(latencies, share) for name, share in shares.items()} if latencies else {}
    told |= {"statuses": statuses, "unanswered": unanswered}
    told |= {"late_p50": percentile(lateness, 0.5), "late_p99": percentile(lateness, 0.99)}
    print(json.dumps(told))


main()
