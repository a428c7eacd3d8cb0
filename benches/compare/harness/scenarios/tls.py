"""TLS and HTTP/2: over connections that stay open, and with a full handshake for each request."""

import json
import os
import socket
import ssl

from .. import load
from ..figures import Figure
from .base import Scenario, loaded, wrk_to
from .throughput import CPU, RATE


class _OverTls(Scenario):
    figures = (CPU, RATE)
    tls = True

    def lacks(self, contestant, run, instance):
        """Contestants are asked whether they have TLS, so that this lights up by itself."""
        return contestant.lacks_tls(run.stage)

    def measure(self, run, contestant, instance):
        """The load, and which protocol and cipher were agreed."""
        endpoint = instance.endpoints["tls"]
        told = loaded(run, contestant, instance, 200, self.generate(run, endpoint))
        version, cipher, _ = agreed(endpoint.port)
        told["remark"] = "; ".join(filter(None, [told.get("remark"), f"{version}, {cipher}"]))
        return told

    def generate(self, run, endpoint):
        """The load, to be given to `loaded`."""
        raise NotImplementedError


class TlsKeepAlive(_OverTls):
    """HTTP/1.1 over TLS."""

    name = "tls"
    title = "forwarded over TLS connections that stay open, all keys"
    programs = ("wrk", "openssl")

    def generate(self, run, endpoint):
        """wrk."""
        return wrk_to(run, endpoint, run.workload.keys_file("paying"))


class TlsHandshakes(_OverTls):
    """A connection and a full handshake for each request."""

    name = "tls-handshakes"
    title = "one request on each TLS connection, full handshakes on P-256"
    figures = (
        Figure("cpu_us", "CPU µs/connection", ratio=True),
        Figure("per_second", "connections/s (the client's limit)", digits=0),
    )
    programs = ("openssl",)

    def generate(self, run, endpoint):
        """A client of our own that never resumes a session."""

        def connect(seconds):
            arguments = (endpoint.port, endpoint.path, run.workload.hot, seconds, os.cpu_count() or 1)
            command = load.client("handshakes", *arguments)
            told = json.loads(run.stage.processes.output(command, seconds + 60))
            errors = told["errors"] + told["resumed"]
            return load.Counted(told["requests"], told["refused"], errors, seconds)

        return connect


class Http2(_OverTls):
    """HTTP/2 over TLS."""

    name = "http2"
    title = "forwarded over HTTP/2 with TLS, four requests at once on a connection, one key"
    programs = ("h2load", "openssl")

    def lacks(self, contestant, run, instance):
        """TLS that does not offer HTTP/2 is no use here."""
        reason = super().lacks(contestant, run, instance)
        if reason is None and agreed(instance.endpoints["tls"].port, ["h2"])[2] != "h2":
            reason = "not available: its TLS does not offer HTTP/2"
        return reason

    def generate(self, run, endpoint):
        """h2load."""
        key, connections = run.workload.hot, run.options.connections
        return lambda seconds: load.h2load(run.stage.processes, endpoint, key, seconds, connections)


def agreed(port, protocols=()):
    """TLS version, cipher and application protocol that a listener chooses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain) as connection:
            return connection.version(), connection.cipher()[0], connection.selected_alpn_protocol()
