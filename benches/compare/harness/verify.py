"""Asks each contestant before it is measured: 200 with a good key, 401 without, 402 after the limit."""

import http.client
import json

from .failure import Failure
from .workload import BODY_BYTES, SPENT_LIMIT


def verify(contestant, instance, workload):
    """Fails with the answer that was wrong. Afterwards the spent customers have nothing left."""
    checked, plain = instance.endpoints["checked"], instance.endpoints["plain"]
    with _Client(instance.name, checked.port) as client:
        client.expect(checked.path, workload.hot, 200)
        client.expect(checked.path, list(workload.paying)[-1], 200)
        if contestant.checks_keys:
            client.expect(checked.path, workload.unknown[0], 401)
            client.expect(checked.path, None, 401)
        if contestant.counts:
            for number, key in enumerate(workload.spent):
                _spend(client, checked.path, key, exactly=number == 0)
    with _Client(instance.name, plain.port) as client:
        client.expect(plain.path, None, 200)


def _spend(client, path, key, exactly):
    for used in range(SPENT_LIMIT + 1):
        status = client.status(path, key)
        if exactly and used < SPENT_LIMIT and status != 200:
            raise Failure(f"{client.name} answered {status} before the limit was reached")
    client.expect(path, key, 402)


class _Client:
    def __init__(self, name, port):
        self.name = name
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def status(self, path, key):
        """The status of one call."""
        return self._call(path, key)[0]

    def expect(self, path, key, status):
        """Fails unless the call has that status, and JSON of the right kind in its body."""
        got, kind, body = self._call(path, key)
        what = "a key" if key else "no key"
        if got != status:
            raise Failure(f"{self.name} answered {got} instead of {status} ({path}, {what}): {body[:300]!r}")
        if "json" not in kind:
            raise Failure(f"{self.name} answered {status} as {kind!r}, not JSON")
        document = json.loads(body)
        if status == 200 and len(body) != BODY_BYTES:
            raise Failure(f"{self.name} forwarded {len(body)} bytes instead of {BODY_BYTES}")
        if status != 200 and document.get("status") != status:
            raise Failure(f"{self.name} refused without saying so in its body: {body[:300]!r}")

    def _call(self, path, key):
        headers = {"X-Api-Key": key} if key else {}
        self._connection.request("GET", path, headers=headers)
        response = self._connection.getresponse()
        return response.status, response.headers.get("Content-Type", ""), response.read()
