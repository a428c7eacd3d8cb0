"""The scenarios, in the order in which they are measured."""

from .memory import Idle, Keys
from .pace import Pace
from .steady import Steady
from .syscalls import SystemCalls
from .throughput import Checks, Requests
from .tls import Http2, TlsHandshakes, TlsKeepAlive


def everything():
    """All scenarios by name."""
    all_of_them = [
        Requests("forwards", "forwarded, each request with the next of all keys", "paying", 200),
        Requests("hot-key", "forwarded, all requests with one key", "hot", 200),
        Requests("refused-quota", "refused with 402, the quota is used up", "spent", 402),
        Requests("refused-key", "refused with 401, the key is unknown", "unknown", 401),
        Checks(),
        Pace(),
        SystemCalls(),
        TlsKeepAlive(),
        TlsHandshakes(),
        Http2(),
        Idle(),
        Keys(),
        Steady(),
    ]
    return {scenario.name: scenario for scenario in all_of_them}
