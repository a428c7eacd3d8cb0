"""nginx, HAProxy and Caddy on both sides: upstreams by HTTP/2, and proxies that callers reach first."""

import json

from cases import Missing, expect
from clients import curl, grpc, http2
from gateway import Gateway
from proxies import Proxies

# A gateway that only balancers reach, which say whom a connection is for.
BALANCED = 'trusted_proxies = ["127.0.0.1/32"]\nproxy_protocol = true'


def run(cases, servers, gateway, directory):
    """Runs all cases, and compares the books after each proxy's."""
    try:
        servers.need("nginx", "caddy", "grpc")
        proxies = Proxies(servers, directory / "proxies")
        upstreams = proxies.behind()
        behind = Gateway(servers.processes, gateway.binary, directory / "gateway-h2", upstreams)
    except Missing as missing:
        return cases.tell_missing("curl", "proxies", "all", str(missing))
    for number, name in enumerate(upstreams):
        group(cases, servers, behind, directory / f"behind-{number}", name)
    for name, before in [
        ("nginx", proxies.nginx_before(gateway.port)),
        ("haproxy", proxies.haproxy_before("haproxy-before", gateway.port)),
    ]:
        first(cases, servers, gateway, directory / f"before-{name}", name, before)
        target, trusted = f"127.0.0.1:{before}", servers.certificates / "server.crt"
        grpc.through(cases, servers, gateway, target, f", {name}", trusted)
    balanced = Gateway(servers.processes, gateway.binary, directory / "gateway-balanced", servers.ports, server=BALANCED)
    before = proxies.haproxy_before("haproxy-balanced", balanced.port, "send-proxy-v2")
    first(cases, servers, balanced, directory / "balanced", "haproxy", before, "PROXY, ")


def group(cases, servers, gateway, directory, name):
    one = curl.Curl(servers, gateway, directory)
    servers.missing.pop(name, None)
    curl.group(cases, one, name, curl.FILES + ([curl.put, curl.put_chunked] if "nginx" in name else []))


def first(cases, servers, gateway, directory, name, before, what=""):
    """Runs what holds however a proxy asks the gateway, and more where it asks by HTTP/2."""
    one = Before(servers, gateway, directory, before)
    wanted = FIRST + (BY_HTTP2 if name == "haproxy" else [])
    for case, server in wanted:
        cases.run(f"curl, {name}", server, what + case.__doc__.rstrip("."), case, one)
    cases.run(f"curl, {name}", server, what + told.__doc__.rstrip("."), told, one)
    cases.run(f"curl, {name}", "all", what + "the books", one.customer.check_books)


class Before(curl.Curl):
    """curl that calls what stands before the gateway, within TLS and by HTTP/2."""

    def __init__(self, servers, gateway, directory, before):
        super().__init__(servers, Reached(gateway, before), directory)

    def command(self, *options):
        return super().command("--cacert", self.servers.certificates / "server.crt", *options)


class Reached:
    """A gateway as its callers see it."""

    def __init__(self, gateway, before):
        self.gateway, self.before = gateway, before

    def url(self, path):
        return f"https://127.0.0.1:{self.before}{path}"

    def customer(self):
        return self.gateway.customer()


def told(one):
    """who calls, and by what, as the upstream is told."""
    seen = json.loads(http2.ask(one, one.gateway.url("/raw/head")))
    expect("the customer", seen["faregate-customer"], one.customer.id)
    expect("the key", "authorization" in seen, False)


FIRST = [(http2.get, "nginx"), (http2.head, "caddy"), (http2.file, "nginx"), (http2.too_large, "raw")]
BY_HTTP2 = [(http2.upload, "raw"), (http2.trailers, "raw")]
