"""curl: files with ranges and conditions, uploads, what goes ahead of an answer and behind it."""

import hashlib
import json
import re
import subprocess

from cases import expect, expect_in
from gateway import BODY_BYTES_MAX, sha256
from processes import program
from servers import TEXT

UPLOAD_BYTES = 20 << 20


class Curl:
    """curl as one customer, in a directory for what it reads and writes."""

    def __init__(self, servers, gateway, directory):
        self.servers, self.gateway, self.directory = servers, gateway, directory
        directory.mkdir()
        self.customer = gateway.customer()
        self.program = program("curl")

    def __call__(self, *options, charged=1, stdin=None):
        """Runs curl with the key and returns what it printed."""
        self.customer.calls += charged
        done = subprocess.run(self.command(*options), cwd=self.directory, input=stdin, capture_output=True)
        if done.returncode != 0:
            raise AssertionError(f"curl {options}: {done.returncode} {done.stderr.decode(errors='replace')}")
        # With -v its notes are of interest, too.
        return done.stdout + done.stderr

    def command(self, *options):
        key = f"Authorization: Bearer {self.customer.key}"
        return [self.program, "--disable", "--noproxy", "*", "-sS", "-m", "15", "-H", key, *map(str, options)]

    def file(self, name, content):
        """Writes a file for curl."""
        (self.directory / name).write_bytes(content)
        return name

    def read(self, name):
        return (self.directory / name).read_bytes()


def run(cases, servers, gateway, directory):
    """Runs all cases of curl, and compares the books after each server's."""
    groups = [("nginx", FILES), ("caddy", FILES), ("nginx", UPLOADS), ("raw", MESSAGES), ("websockets", UPGRADES)]
    for number, (server, functions) in enumerate(groups):
        group(cases, Curl(servers, gateway, directory / f"curl-{number}"), server, functions)


def group(cases, curl, server, functions):
    def case(function):
        curl.servers.need(server)
        function(curl, server)

    for function in functions:
        cases.run("curl", server, function.__doc__.rstrip("."), case, function)
    cases.run("curl", server, "the books", curl.customer.check_books)


def get(curl, server):
    """GET."""
    answer = curl("-i", curl.gateway.url(f"/{server}/text.txt"))
    expect_in("the head", b"HTTP/1.1 200 OK\r\n", answer)
    expect("the body", answer.partition(b"\r\n\r\n")[2], TEXT.encode())
    for name in [b"ratelimit", b"faregate-cost", b"x-request-id"]:
        expect_in("the head", b"\r\n" + name + b": ", answer.lower())


def head(curl, server):
    """HEAD."""
    answer = curl("-I", curl.gateway.url(f"/{server}/file.bin")).lower()
    expect_in("the length", f"\r\ncontent-length: {len(curl.servers.file)}\r\n".encode(), answer)


def empty(curl, server):
    """GET of an empty file."""
    expect("the body", curl(curl.gateway.url(f"/{server}/empty.txt")), b"")


def missing(curl, server):
    """404 of the server."""
    expect_in("the head", b"HTTP/1.1 404 ", curl("-i", curl.gateway.url(f"/{server}/none")))


def compressed(curl, server):
    """GET, compressed."""
    answer = curl("-i", "--raw", "-H", "Accept-Encoding: gzip", curl.gateway.url(f"/{server}/text.txt"))
    expect_in("the head", b"\r\ncontent-encoding: gzip\r\n", answer.lower())
    expect("the body", curl("--compressed", curl.gateway.url(f"/{server}/text.txt")), TEXT.encode())


def one_range(curl, server):
    """a range."""
    answer = curl("-i", "-r", "1000-1999", curl.gateway.url(f"/{server}/file.bin"))
    expect_in("the head", b"HTTP/1.1 206 ", answer)
    size = len(curl.servers.file)
    expect_in("the head", f"\r\ncontent-range: bytes 1000-1999/{size}\r\n".encode(), answer.lower())
    expect("the body", answer.partition(b"\r\n\r\n")[2], curl.servers.file[1000:2000])


def two_ranges(curl, server):
    """two ranges in one answer."""
    answer = curl("-i", "-r", "0-9,-10", curl.gateway.url(f"/{server}/file.bin"))
    expect_in("the head", b"\r\ncontent-type: multipart/byteranges; boundary=", answer.lower())
    expect_in("the body", curl.servers.file[:10], answer)
    expect_in("the body", curl.servers.file[-10:], answer)


def range_beyond(curl, server):
    """a range beyond the end is 416."""
    answer = curl("-i", "-r", "99999999-", curl.gateway.url(f"/{server}/file.bin"))
    expect_in("the head", b"HTTP/1.1 416 ", answer)
    size = len(curl.servers.file)
    expect_in("the head", f"\r\ncontent-range: bytes */{size}\r\n".encode(), answer.lower())


def resume(curl, server):
    """a download is resumed."""
    name = curl.file("resumed", curl.servers.file[: 2 << 20])
    curl("-C", "-", "-o", name, curl.gateway.url(f"/{server}/file.bin"))
    expect("the file", sha256(curl.read(name)), sha256(curl.servers.file))


def unchanged(curl, server):
    """If-None-Match and If-Modified-Since are 304."""
    url = curl.gateway.url(f"/{server}/file.bin")
    curl("--etag-save", "etag", "-R", "-o", "kept", url)
    for condition in [("--etag-compare", "etag"), ("-z", "kept")]:
        answer = curl("-i", *condition, url)
        expect_in("the head", b"HTTP/1.1 304 Not Modified\r\n", answer)
        expect("the body", answer.partition(b"\r\n\r\n")[2], b"")


def changed(curl, server):
    """If-Match with another tag is 412."""
    answer = curl("-i", "-H", 'If-Match: "other"', curl.gateway.url(f"/{server}/file.bin"))
    expect_in("the head", b"HTTP/1.1 412 ", answer)


def old_http(curl, server):
    """HTTP/1.0."""
    answer = curl("-0", "-i", curl.gateway.url(f"/{server}/text.txt"))
    expect("the body", answer.partition(b"\r\n\r\n")[2], TEXT.encode())


def newer_http(curl, server):
    """HTTP/2 that is offered (h2c) is left alone."""
    answer = curl("--http2", "-i", curl.gateway.url(f"/{server}/text.txt"))
    expect_in("the head", b"HTTP/1.1 200 OK\r\n", answer)
    expect("the body", answer.partition(b"\r\n\r\n")[2], TEXT.encode())


def as_proxy(curl, server):
    """the target as a whole URL, as a proxy gets it."""
    url = curl.gateway.url(f"/{server}/text.txt")
    answer = curl("--noproxy", "", "-x", curl.gateway.url(""), url)
    expect("the body", answer, TEXT.encode())


def reuse(curl, server):
    """a connection is used again."""
    url = curl.gateway.url(f"/{server}/text.txt")
    counts = curl(*["-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", url] * 3, charged=3)
    expect("statuses and new connections", counts, b"200 1\n200 0\n200 0\n")


def many(curl, server):
    """100 calls, over connections that the server ends."""
    url = curl.gateway.url(f"/{server}/text.txt")
    statuses = curl(*["-o", "/dev/null", "-w", "%{http_code}\n", url] * 100, charged=100)
    expect("the statuses", statuses, b"200\n" * 100)


FILES = [
    get, head, empty, missing, compressed, one_range, two_ranges, range_beyond, resume, unchanged, changed,
    old_http, newer_http, as_proxy, reuse, many,
]  # fmt: skip


def put(curl, server):
    """PUT of 20 MB, Expect: 100-continue."""
    upload(curl, server, "-T", "sent")


def put_chunked(curl, server):
    """PUT of 20 MB, chunked, Expect: 100-continue."""
    upload(curl, server, "-H", "Transfer-Encoding: chunked", "-T", "sent")


def put_at_once(curl, server):
    """PUT of 20 MB, chunked, without Expect."""
    upload(curl, server, "-H", "Expect:", "-H", "Transfer-Encoding: chunked", "-T", "sent")


def upload(curl, server, *options):
    content = curl.servers.file * (UPLOAD_BYTES // len(curl.servers.file))
    curl.file("sent", content)
    stored = curl.servers.files / "upload" / "file"
    stored.unlink(missing_ok=True)
    answer = curl("-v", *options, curl.gateway.url(f"/{server}/upload/file"))
    expect_in("the answer", b"< HTTP/1.1 201 Created\r\n", answer)
    if "Expect:" not in options:
        expect_in("what came before it", b"< HTTP/1.1 100 Continue\r\n", answer)
    expect("the stored file", sha256(stored.read_bytes()), sha256(content))


def put_too_large(curl, server):
    """PUT beyond body_bytes is 413, before the body is sent."""
    curl.file("large", bytes(BODY_BYTES_MAX + 1))
    answer = curl("-v", "-T", "large", "-w", "%{size_upload}", curl.gateway.url(f"/{server}/upload/no"), charged=0)
    expect_in("the answer", b"< HTTP/1.1 413 ", answer)
    expect_in("the body", b'"code":"body_too_large"', answer)
    expect("100 Continue", b"100 Continue" in answer, False)
    expect("a stored file", (curl.servers.files / "upload" / "no").exists(), False)


def put_too_large_chunked(curl, server):
    """chunked PUT beyond body_bytes is 413, nothing is stored."""
    # It is charged, since the upstream has the head by then: the ending `abandoned`.
    curl.file("large", bytes(BODY_BYTES_MAX + 1))
    options = ["-H", "Transfer-Encoding: chunked", "-T", "large", "-o", "answer", "-w", "%{http_code}"]
    status = curl(*options, curl.gateway.url(f"/{server}/upload/no"))
    expect("the status", status, b"413")
    expect("the code", json.loads(curl.read("answer"))["code"], "body_too_large")
    expect("a stored file", (curl.servers.files / "upload" / "no").exists(), False)


def put_refused(curl, server):
    """413 of the server, which does not take the body."""
    curl.file("sent", curl.servers.file)
    url = curl.gateway.url(f"/{server}/small/file")
    for options in [[], ["-H", "Expect:"], ["-H", "Expect:", "-H", "Transfer-Encoding: chunked"]]:
        answer = curl("-i", *options, "-T", "sent", url)
        expect_in("the head", b"HTTP/1.1 413 ", answer)
        expect_in("the body", b"<center>nginx", answer)


UPLOADS = [put, put_chunked, put_at_once, put_too_large, put_too_large_chunked, put_refused]


def hints(curl, server):
    """103 Early Hints, two of them."""
    answer = curl("-i", curl.gateway.url(f"/{server}/hints"))
    statuses = re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE)
    expect("the statuses", statuses, [b"103", b"103", b"200"])
    expect_in("the hints", b"</style.css>; rel=preload; as=style\r\n", answer)
    expect("the body", answer[-5:], b"hello")


def hints_old(curl, server):
    """no 103 in HTTP/1.0."""
    answer = curl("-0", "-i", curl.gateway.url(f"/{server}/hints"))
    expect("the statuses", re.findall(rb"^HTTP/1\.\d (\d+)", answer, re.MULTILINE), [b"200"])


def trailers(curl, server):
    """trailers, with TE."""
    url = curl.gateway.url(f"/{server}/trailers")
    expect("the body", curl("-D", "fields", "-H", "TE: trailers", url), b"hello")
    head, _, behind = curl.read("fields").partition(b"\r\n\r\n")
    expect_in("the fields behind the body", b"x-checksum: 5d41402a", behind.lower())
    expect_in("the head", b"\r\ntrailer: x-checksum", head.lower())


def no_trailers(curl, server):
    """no trailers without TE."""
    url = curl.gateway.url(f"/{server}/trailers")
    expect("the body", curl("-D", "fields", url), b"hello")
    expect("the checksum", b"5d41402a" in curl.read("fields"), False)


def chunked_old(curl, server):
    """a chunked body in HTTP/1.0."""
    answer = curl("-0", "-i", "--raw", curl.gateway.url(f"/{server}/chunked"))
    expect("the body", answer.partition(b"\r\n\r\n")[2], b"hello world")
    expect("transfer-encoding", b"transfer-encoding" in answer.lower(), False)


def events(curl, server):
    """Server-Sent Events come one by one."""
    curl.customer.calls += 1
    command = curl.command("-N", curl.gateway.url(f"/{server}/events"))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            for number in [1, 2, 3]:
                expect("a line", process.stdout.readline(), f"id: {number}\n".encode())
                expect("a line", process.stdout.readline(), f"data: event {number}\n".encode())
                expect("a line", process.stdout.readline(), b"\n")
                curl.servers.raw.next.release()
            expect("the end", process.stdout.read(), b"")
        finally:
            process.terminate()
    expect("the result", process.returncode, 0)


def post(curl, server):
    """POST of a form, and of several parts."""
    url = curl.gateway.url(f"/{server}/upload")
    expect("a form", json.loads(curl("-d", "a=1", "-d", "b=2", url))["sha256"], sha256(b"a=1&b=2"))
    curl.file("part", b"x" * 100_000)
    expect("parts larger than the file", json.loads(curl("-F", "file=@part", url))["bytes"] > 100_000, True)


def post_empty(curl, server):
    """POST without a body."""
    answer = json.loads(curl("-X", "POST", curl.gateway.url(f"/{server}/upload")))
    expect("the digest", answer["sha256"], hashlib.sha256().hexdigest())


def key_places(curl, server):
    """the key in X-API-Key, Basic, the query; never upstream."""
    url, key = curl.gateway.url(f"/{server}/head"), curl.customer.key
    places = [("-H", f"X-API-Key: {key}"), ("-u", f"{key}:"), ("-G", "-d", f"api_key={key}")]
    for place in places:
        # An empty value takes the field out that every call has.
        seen = curl("-H", "Authorization:", *place, url) if place[0] != "-u" else curl("-u", f"{key}:", url)
        expect("the key upstream", key.encode() in seen, False)
        expect("the customer upstream", json.loads(seen)["faregate-customer"], curl.customer.id)


def no_key(curl, server):
    """401 without a key."""
    before = curl.servers.raw.seen("/head")
    url = curl.gateway.url(f"/{server}/head")
    command = [curl.program, "--disable", "--noproxy", "*", "-sSi", "-m", "15", url]
    answer = subprocess.run(command, capture_output=True, check=True).stdout
    expect_in("the answer", b"HTTP/1.1 401 ", answer)
    expect_in("the answer", b"\r\nwww-authenticate: bearer", answer.lower())
    expect("requests upstream", curl.servers.raw.seen("/head"), before)


MESSAGES = [
    hints, hints_old, trailers, no_trailers, chunked_old, events, post, post_empty, key_places, no_key,
]  # fmt: skip


def upgrade_required(curl, server):
    """426 says to what (RFC 9110 section 15.5.22)."""
    answer = curl("-i", curl.gateway.url(f"/{server}/chat"))
    expect_in("the head", b"HTTP/1.1 426 Upgrade Required\r\n", answer)
    expect_in("the head", b"\r\nupgrade: websocket\r\n", answer.lower())


UPGRADES = [upgrade_required]
