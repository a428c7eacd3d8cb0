"""The contestants, in the order in which they are measured and shown."""

from .caddy import Caddy
from .faregate import Faregate
from .haproxy import HAProxy
from .nginx import Nginx, NginxLua, NginxMap

# Ratios are to this one.
REFERENCE = "haproxy"


def everyone():
    """All contestants by name; those with `extra` run only when they are named."""
    all_of_them = [
        HAProxy("haproxy", "checks; writes each log line to a file"),
        HAProxy("haproxy-ring", "as haproxy, but its log goes to memory only", log="ring", extra=True),
        HAProxy("haproxy-nolog", "as haproxy without a log", log="off", extra=True),
        HAProxy("haproxy-digest", "as haproxy, keys looked up by SHA-256", digest=True, extra=True),
        Nginx("nginx", "no checks: what forwarding and the log alone cost"),
        NginxMap("nginx-map", "keys by map; limit_req for a quota"),
        NginxLua("nginx-lua", "keys and counts in shared memory by Lua"),
        Caddy("caddy", "keys by map, which it searches from end to end; counts nothing"),
        Faregate("faregate", "as it comes: all checks, journal, store, log"),
        Faregate("faregate-nolog", "as faregate without the access log", log=False),
        Faregate("baseline", "the binary named by --baseline", program="baseline"),
    ]
    return {contestant.name: contestant for contestant in all_of_them}
