"""Asks each contestant before it is measured: 200 with a good key, 401 without, 402 after the limit."""

import http.client
import json
import ssl

from .failure import Failure
from .stage import CHECKED_PATH
from .workload import BODY_BYTES, SPENT_LIMIT


def verify(contestant, instance, workload):
    """Fails with the answer that was wrong. Afterwards the spent customers have nothing left."""
    checked, plain = instance.endpoints["checked"], instance.endpoints["plain"]
    with _Client(instance.name, checked.port) as client:
        client.expect(checked.path, workload.hot, 200)
        client.expect(checked.path, list(workload.paying)[-1], 200)
        _expect_forwarded(client, contestant, workload)
        if contestant.checks_keys:
            client.expect(checked.path, workload.unknown[0], 401)
            client.expect(checked.path, None, 401)
        if contestant.counts:
            for number, key in enumerate(workload.spent):
                _spend(client, checked.path, key, exactly=number == 0)
    with _Client(instance.name, plain.port) as client:
        client.expect(plain.path, None, 200)
    if "tls" in instance.endpoints:
        tls = instance.endpoints["tls"]
        with _Client(instance.name, tls.port, tls=True) as client:
            client.expect(tls.path, workload.hot, 200)


def _expect_forwarded(client, contestant, workload):
    """Fails unless the upstream is told the customer and not the key, over connections that are kept."""
    calls = 0
    for _ in range(40):
        _, _, body = client.call(f"{CHECKED_PATH.rpartition('/')[0]}/saw", workload.hot)
        saw = json.loads(body)
        calls = max(calls, saw["calls"])
        if contestant.checks_keys and saw["key"]:
            raise Failure(f"{client.name} forwards the key")
        if contestant.checks_keys and saw["customer"] != workload.paying[workload.hot]:
            raise Failure(f"{client.name} tells the upstream {saw['customer']!r} as the customer")
    if calls < 10:
        raise Failure(f"{client.name} does not keep its connections to the upstream")


def _spend(client, path, key, exactly):
    for used in range(SPENT_LIMIT + 1):
        status = client.status(path, key)
        if exactly and used < SPENT_LIMIT and status != 200:
            raise Failure(f"{client.name} answered {status} before the limit was reached")
    client.expect(path, key, 402)


class _Client:
    def __init__(self, name, port, tls=False):
        self.name = name
        if tls:
            # Whose certificate it is does not matter here; it is one of ours, made a moment ago.
            context = ssl._create_unverified_context()
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=20, context=context
            )
        else:
            self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def status(self, path, key):
        """The status of one call."""
        return self.call(path, key)[0]

    def expect(self, path, key, status):
        """Fails unless the call has that status, and JSON of the right kind in its body."""
        got, kind, body = self.call(path, key)
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

    def call(self, path, key):
        """Status, content type and body of one call."""
        headers = {"X-Api-Key": key} if key else {}
        self._connection.request("GET", path, headers=headers)
        response = self._connection.getresponse()
        return response.status, response.headers.get("Content-Type", ""), response.read()
