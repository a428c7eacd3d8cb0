"""HTTP/2 by prior knowledge: curl (nghttp2), Node's `node:http2` (nghttp2) and httpx (hyper-h2)."""

import json
import re
import subprocess

from cases import Missing, expect, expect_in
from clients import python, told
from clients.curl import Curl
from gateway import sha256
from servers import TEXT


def run(cases, servers, gateway, directory):
    """Runs all cases, and compares the books after each client's."""
    curl = Curl(servers, gateway, directory / "http2")
    for case, server in CASES:
        cases.run("curl, h2", server, case.__doc__.rstrip("."), started, servers, server, case, curl)
    cases.run("curl, h2", "all", "the books", curl.customer.check_books)
    for client, find, program in [
        ("node, h2", servers.node, "http2_client.cjs"),
        ("httpx, h2", lambda: (servers.python(), None), "http2_client.py"),
    ]:
        customer, spent = gateway.customer(), python.spend(gateway)
        try:
            servers.need("nginx", "caddy")
            interpreter, environment = find()
        except Missing as missing:
            cases.tell_missing(client, "all", "all", str(missing))
            continue
        command = [interpreter, str(servers.here / "programs" / program), gateway.url(""), customer.key, spent.key]
        told.run(cases, customer, client, "all", command, environment)
        cases.run(client, "all", "the books", customer.check_books)
        cases.run(client, "all", "the books of whose quota is used up", spent.check_books)


def started(servers, server, case, curl):
    servers.need(server)
    case(curl)


def ask(curl, *options, charged=1):
    return curl("--http2-prior-knowledge", *options, charged=charged)


def get(curl):
    """GET."""
    answer = ask(curl, "-i", curl.gateway.url("/nginx/text.txt"))
    expect_in("the head", b"HTTP/2 200 \r\n", answer)
    expect("the body", answer.partition(b"\r\n\r\n")[2], TEXT.encode())
    for name in [b"ratelimit", b"faregate-cost", b"x-request-id", b"date"]:
        expect_in("the head", b"\r\n" + name + b": ", answer)
    expect("a field about a connection", re.findall(rb"\r\n(connection|keep-alive|transfer-encoding):", answer), [])


def head(curl):
    """HEAD."""
    answer = ask(curl, "-I", curl.gateway.url("/caddy/file.bin"))
    expect_in("the length", f"\r\ncontent-length: {len(curl.servers.file)}\r\n".encode(), answer)


def file(curl):
    """a large file, and a range of it."""
    url = curl.gateway.url("/nginx/file.bin")
    expect("the file", sha256(ask(curl, url)), sha256(curl.servers.file))
    expect("a range", ask(curl, "-r", "1000-1999", url), curl.servers.file[1000:2000])


def upload(curl):
    """PUT of 20 MiB, which is asked for."""
    content = curl.servers.file * 4
    curl.file("sent", content)
    answer = ask(curl, "-v", "-H", "Expect: 100-continue", "-T", "sent", curl.gateway.url("/raw/upload"))
    expect_in("what came before the answer", b"< HTTP/2 100", answer)
    expect_in("the digest", sha256(content).encode(), answer)


def too_large(curl):
    """PUT beyond body_bytes is 413."""
    curl.file("large", bytes((32 << 20) + 1))
    answer = ask(curl, "-i", "-T", "large", curl.gateway.url("/raw/upload"), charged=0)
    expect_in("the answer", b"HTTP/2 413", answer)
    expect_in("the body", b'"code":"body_too_large"', answer)


def ahead(curl):
    """103 Early Hints, two of them."""
    answer = ask(curl, "-i", curl.gateway.url("/raw/hints"))
    expect("the statuses", re.findall(rb"^HTTP/2 (\d+)", answer, re.MULTILINE), [b"103", b"103", b"200"])


def trailers(curl):
    """trailers."""
    expect("the body", ask(curl, "-D", "fields", "-H", "TE: trailers", curl.gateway.url("/raw/trailers")), b"hello")
    expect_in("the fields", b"x-checksum: 5d41402a", curl.read("fields").lower())


def upstream(curl):
    """what the upstream sees."""
    seen = json.loads(ask(curl, "-H", "Cookie: a=1; b=2", curl.gateway.url("/raw/head")))
    expect("the cookie", seen["cookie"], "a=1; b=2")
    expect("the way", seen["via"], "2 faregate")


def no_key(curl):
    """401 without a key."""
    command = [curl.program, "--disable", "--noproxy", "*", "-sSi", "-m", "15", "--http2-prior-knowledge"]
    answer = subprocess.run([*command, curl.gateway.url("/raw/head")], capture_output=True, check=True).stdout
    expect_in("the head", b"HTTP/2 401", answer)
    expect_in("the body", b'"code":"missing_api_key"', answer)


CASES = [
    (get, "nginx"), (head, "caddy"), (file, "nginx"), (upload, "raw"), (too_large, "raw"),
    (ahead, "raw"), (trailers, "raw"), (upstream, "raw"), (no_key, "raw"),
]  # fmt: skip
