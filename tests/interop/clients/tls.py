"""TLS on both sides: curl with a certificate of its own to a gateway within TLS, and servers within TLS behind it."""

import subprocess

from cases import expect, expect_in
from clients import curl
from gateway import Gateway
from processes import program

# The gateway's listener, and who vouches for its callers.
LISTENER = """
[server.tls]
cert = "{0}/gateway.crt"
key = "{0}/gateway.key"
client_ca = "{0}/caller.crt"
"""


def run(cases, servers, gateway, directory):
    """Runs all cases, and compares the books after each server's."""
    more = LISTENER.format(servers.certificates)
    try:
        servers.need("nginx-tls")
        inside = Gateway(servers.processes, gateway.binary, directory / "gateway-tls", servers.ports, more, scheme="https")
    except Exception as missing:
        return cases.tell_missing("curl", "nginx-tls", "all", str(missing))
    # A proxy within TLS is asked with CONNECT, and within TLS HTTP/2 is offered by the handshake.
    files = [function for function in curl.FILES if function not in (curl.as_proxy, curl.newer_http)]
    for number, (server, functions) in enumerate([("nginx-tls", files + curl.UPLOADS), ("caddy-tls", files)]):
        curl.group(cases, Secured(servers, inside, directory / f"tls-{number}"), server, functions)
    caller = Secured(servers, inside, directory / "tls-callers")
    for function in [version_1_2, http2, resumed, second_handshake, no_certificate, clear]:
        cases.run("curl", "nginx-tls", function.__doc__.rstrip("."), function, caller)
    cases.run("curl", "nginx-tls", "the books", caller.customer.check_books)


class Secured(curl.Curl):
    """curl that trusts the gateway alone and shows a certificate."""

    def command(self, *options):
        where = self.servers.certificates
        shown = ["--cacert", where / "gateway.crt", "--cert", where / "caller.crt", "--key", where / "caller.key"]
        # The cases look for HTTP/1.1 in what they see; that the two would agree on HTTP/2 is a case of its own.
        return super().command(*shown, "--http1.1", *options)


def version_1_2(caller):
    """TLS 1.2."""
    answer = caller("-v", "--tlsv1.2", "--tls-max", "1.2", caller.gateway.url("/nginx-tls/empty.txt"))
    expect_in("what curl tells", b"SSL connection using TLSv1.2", answer)


def http2(caller):
    """HTTP/2, which is preferred."""
    answer = caller("-i", "--http2", caller.gateway.url("/nginx-tls/empty.txt"))
    expect_in("the head", b"HTTP/2 200 ", answer)


def resumed(caller):
    """two files on one connection, twice."""
    url = caller.gateway.url("/nginx-tls/empty.txt")
    for _ in range(2):
        answer = caller("-v", url, url, charged=2)
        expect("handshakes", answer.count(b"SSL connection using"), 1)


def second_handshake(caller):
    """openssl: a second handshake in TLS 1.2 is refused at once."""
    where = caller.servers.certificates
    command = [program("openssl"), "s_client", "-tls1_2", "-connect", f"127.0.0.1:{caller.gateway.port}"]
    command += ["-cert", where / "caller.crt", "-key", where / "caller.key"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as client:
        try:
            # It asks for one when it reads this line.
            client.stdin.write(b"R\n")
            client.stdin.flush()
            client.wait(5)
            expect_in("what openssl tells", b"no renegotiation", client.stderr.read())
        finally:
            client.kill()


def no_certificate(caller):
    """a caller without a certificate gets no connection."""
    where = caller.servers.certificates / "gateway.crt"
    command = curl.Curl.command(caller, "--http1.1", "--cacert", where, caller.gateway.url("/nginx-tls/empty.txt"))
    done = subprocess.run(command, cwd=caller.directory, capture_output=True)
    # 56: the alert comes with what is read first (TLS 1.3), 35: with the handshake.
    expect("curl refuses", done.returncode in (35, 56), True)


def clear(caller):
    """a caller in clear is told."""
    url = caller.gateway.url("/nginx-tls/empty.txt", scheme="http")
    answer = caller("-i", url, charged=0)
    expect_in("the head", b"HTTP/1.1 400 ", answer)
    expect_in("the reason", b"This listener speaks TLS", answer)
