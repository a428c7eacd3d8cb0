"""Requests that parsers have read in different ways, as bytes: the tables A, C and D of what has hurt proxies.

`@1` and `@2` stand for paths of this case's own, `@K` for a line with a good key. What comes back is found, not
expected: the judges decide whether it may be so."""

END = b"\r\n\r\n"
HOST = b"Host: a.example\r\n"
HIDDEN = b"GET @2 HTTP/1.1\r\nHost: a.example\r\n@K\r\n"


def get(fields=b"", line=b"GET @1 HTTP/1.1", host=HOST, behind=b""):
    """Returns a request without a body, with these fields, and what comes behind it."""
    return line + b"\r\n" + host + b"@K" + fields + b"\r\n" + behind


def post(fields, body, behind=b"", line=b"POST @1 HTTP/1.1"):
    """Returns a request with a body, with these fields."""
    return line + b"\r\n" + HOST + b"@K" + fields + b"\r\n" + body + behind


def chunked(body, behind=b""):
    """Returns a request whose body has this form of the chunked coding."""
    return post(b"Transfer-Encoding: chunked\r\n", body, behind)


CHUNK = b"3\r\nabc\r\n0\r\n\r\n"

FORMS = [
    ("-", "a plain GET", get()),
    ("-", "a plain GET, and another behind it", get(behind=HIDDEN)),
    ("-", "a body with a length, and a request behind it", post(b"Content-Length: 3\r\n", b"abc", HIDDEN)),
    ("-", "a body in chunks, and a request behind it", chunked(CHUNK, HIDDEN)),
    ("A1", "a length, then a coding", post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", CHUNK, HIDDEN)),
    ("A1", "a coding, then a length", post(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", CHUNK, HIDDEN)),
    ("A1", "both, in other letters", post(b"CONTENT-LENGTH: 0\r\ntransfer-ENCODING: Chunked\r\n", CHUNK, HIDDEN)),
    (
        "A1",
        "a length and a coding that is none",
        post(b"Content-Length: 3\r\nTransfer-Encoding: x\r\n", b"abc", HIDDEN),
    ),
    ("A2", "+3", post(b"Content-Length: +3\r\n", b"abc", HIDDEN)),
    ("A2", "-3", post(b"Content-Length: -3\r\n", b"abc", HIDDEN)),
    ("A2", "0x3", post(b"Content-Length: 0x3\r\n", b"abc", HIDDEN)),
    ("A2", "3 3", post(b"Content-Length: 3 3\r\n", b"abc", HIDDEN)),
    ("A2", "3.0", post(b"Content-Length: 3.0\r\n", b"abc", HIDDEN)),
    ("A2", "3, 3", post(b"Content-Length: 3, 3\r\n", b"abc", HIDDEN)),
    ("A2", "3, 4", post(b"Content-Length: 3, 4\r\n", b"abc", HIDDEN)),
    ("A2", "3,", post(b"Content-Length: 3,\r\n", b"abc", HIDDEN)),
    ("A2", "003", post(b"Content-Length: 003\r\n", b"abc", HIDDEN)),
    ("A2", "an empty length", post(b"Content-Length:\r\n", b"", HIDDEN)),
    ("A2", "two equal lengths", post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc", HIDDEN)),
    ("A2", "two lengths that differ", post(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abc", HIDDEN)),
    ("A2", "2^64 + 3", post(b"Content-Length: 18446744073709551619\r\n", b"abc", HIDDEN)),
    ("A2", "digits beyond ASCII", post("Content-Length: \u0663\r\n".encode(), b"abc", HIDDEN)),
    ("A3", "a size in upper case, with zeros before it", chunked(b"00A\r\n0123456789\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "an extension", chunked(b"3;a=b\r\nabc\r\n0;c\r\n\r\n", HIDDEN)),
    ("A3", "an extension in quotation marks", chunked(b'3;a="b;\tc"\r\nabc\r\n0\r\n\r\n', HIDDEN)),
    ("A3", "a blank behind the size", chunked(b"3 \r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a blank before the size", chunked(b" 3\r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a sign", chunked(b"+3\r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "0x3", chunked(b"0x3\r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "3_0", chunked(b"3_0\r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a size of 2^64 + 3", chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a size that is none", chunked(b"\r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a line feed alone behind the size", chunked(b"3\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a carriage return alone behind the size", chunked(b"3\rabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a line feed alone in an extension", chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a carriage return alone in an extension", chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a NUL in an extension", chunked(b"3;a\0\r\nabc\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a line feed alone behind the data", chunked(b"3\r\nabc\n0\r\n\r\n", HIDDEN)),
    ("A3", "no line end behind the data", chunked(b"3\r\nabc0\r\n\r\n", HIDDEN)),
    ("A3", "more data than the size", chunked(b"3\r\nabcd\r\n0\r\n\r\n", HIDDEN)),
    ("A3", "a line feed alone at the end", chunked(b"3\r\nabc\r\n0\r\n\n", HIDDEN)),
    ("A3", "a line feed alone behind the last size", chunked(b"3\r\nabc\r\n0\n\r\n", HIDDEN)),
    ("A4", "gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNK, HIDDEN)),
    ("A4", "chunked, gzip", post(b"Transfer-Encoding: chunked, gzip\r\n", CHUNK, HIDDEN)),
    ("A4", "chunked, chunked", post(b"Transfer-Encoding: chunked, chunked\r\n", CHUNK, HIDDEN)),
    ("A4", "two fields", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNK, HIDDEN)),
    ("A4", "identity", post(b"Transfer-Encoding: identity\r\n", b"", HIDDEN)),
    ("A4", "xchunked", post(b"Transfer-Encoding: xchunked\r\n", CHUNK, HIDDEN)),
    ("A4", "chunked in quotation marks", post(b'Transfer-Encoding: "chunked"\r\n', CHUNK, HIDDEN)),
    ("A4", "chunked;", post(b"Transfer-Encoding: chunked;\r\n", CHUNK, HIDDEN)),
    ("A4", "chunked with a comma", post(b"Transfer-Encoding: ,chunked\r\n", CHUNK, HIDDEN)),
    ("A4", "a vertical tab before it", post(b"Transfer-Encoding: \x0bchunked\r\n", CHUNK, HIDDEN)),
    ("A4", "tabs around it", post(b"Transfer-Encoding:\tchunked\t\r\n", CHUNK, HIDDEN)),
    ("A4", "a blank before the colon", post(b"Transfer-Encoding : chunked\r\n", CHUNK, HIDDEN)),
    ("A4", "Transfer_Encoding", post(b"Transfer_Encoding: chunked\r\n", b"", HIDDEN)),
    ("A4", "a coding in HTTP/1.0", post(b"Transfer-Encoding: chunked\r\n", CHUNK, HIDDEN, b"POST @1 HTTP/1.0")),
    ("A5", "a line feed alone ends the request line", b"GET @1 HTTP/1.1\n" + HOST + b"@K\r\n"),
    ("A5", "a line feed alone ends a field", get(b"X-A: b\n")),
    ("A5", "line feeds alone everywhere", get().replace(b"\r\n", b"\n")),
    ("A5", "a line feed alone ends the head", b"GET @1 HTTP/1.1\r\n" + HOST + b"@K\n"),
    ("A5", "a carriage return in a value", get(b"X-A: b\rX-B: c\r\n")),
    ("A5", "a NUL in a value", get(b"X-A: b\0c\r\n")),
    ("A5", "a control byte in a value", get(b"X-A: b\x01c\r\n")),
    ("A5", "DEL in a value", get(b"X-A: b\x7fc\r\n")),
    ("A5", "a byte beyond ASCII in a value", get(b"X-A: \xe9\r\n")),
    ("A5", "a control byte in a name", get(b"X\x01A: b\r\n")),
    ("A5", "a byte beyond ASCII in a name", get(b"X-\xe9: b\r\n")),
    ("A5", "a name that is empty", get(b": b\r\n")),
    ("A5", "a line without a colon", get(b"X-A\r\n")),
    ("A5", "a blank before the colon", get(b"X-A : b\r\n")),
    ("A5", "a folded line", get(b"X-A: b\r\n c\r\n")),
    ("A5", "a folded first line", get(host=b" X-A: b\r\n" + HOST)),
    ("A5", "blanks around a value", get(b"X-A:\t b \t\r\n")),
    ("A5", "two blanks in the request line", get(line=b"GET  @1 HTTP/1.1")),
    ("A5", "a tab in the request line", get(line=b"GET\t@1 HTTP/1.1")),
    ("A5", "a blank behind the version", get(line=b"GET @1 HTTP/1.1 ")),
    ("A5", "a blank in the target", get(line=b"GET @1 x HTTP/1.1")),
    ("A5", "no version", get(line=b"GET @1")),
    ("A5", "HTTP/1.2", get(line=b"GET @1 HTTP/1.2")),
    ("A5", "HTTP/2.0", get(line=b"GET @1 HTTP/2.0")),
    ("A5", "HTTP/0.9", get(line=b"GET @1 HTTP/0.9")),
    ("A5", "http/1.1", get(line=b"GET @1 http/1.1")),
    ("A5", "HTTP/1.10", get(line=b"GET @1 HTTP/1.10")),
    ("A5", "an empty line first", b"\r\n" + get()),
    ("A5", "a line feed first", b"\n" + get()),
    ("A5", "a method that is none", get(line=b"G(T @1 HTTP/1.1")),
    ("A5", "a method of lower case", get(line=b"get @1 HTTP/1.1")),
    ("A5", "a byte beyond ASCII in the path", get(line="GET @1/\u00e9 HTTP/1.1".encode())),
    ("A5", "a byte beyond ASCII in the query", get(line="GET @1?\u00e9 HTTP/1.1".encode())),
    ("A5", "a byte that is no UTF-8 in the query", get(line=b"GET @1?\xe9 HTTP/1.1")),
    ("A5", "marks that stand in no query", get(line=b'GET @1?"<>^`{|}\\ HTTP/1.1')),
    ("A5", "a fragment", get(line=b"GET @1#x HTTP/1.1")),
    ("A6", "no host", get(host=b"")),
    ("A6", "two hosts", get(host=HOST + b"Host: b.example\r\n")),
    ("A6", "two equal hosts", get(host=HOST + HOST)),
    ("A6", "an empty host", get(host=b"Host:\r\n")),
    ("A6", "a list of hosts", get(host=b"Host: a.example, b.example\r\n")),
    ("A6", "a host with a path", get(host=b"Host: a.example/x\r\n")),
    ("A6", "a host with a user", get(host=b"Host: u@a.example\r\n")),
    ("A6", "a whole URL and another host", get(line=b"GET http://b.example@1 HTTP/1.1")),
    ("A6", "a whole URL and no host", get(line=b"GET http://b.example@1 HTTP/1.1", host=b"")),
    ("A6", "HTTP/1.0 without a host", get(line=b"GET @1 HTTP/1.0", host=b"")),
    ("A7", "a request in the body of a GET", get(b"Content-Length: @N\r\n", behind=HIDDEN)),
    (
        "A7",
        "a request in the body of a refused request",
        post(b"Content-Length: @N\r\n", HIDDEN, line=b"POST /none HTTP/1.1"),
    ),
    ("A7", "a request behind a GET with a length of 0", get(b"Content-Length: 0\r\n", behind=HIDDEN)),
    (
        "A8",
        "a WebSocket, and a request behind it",
        get(
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            behind=HIDDEN,
        ),
    ),
    ("A8", "an upgrade to something else", get(b"Connection: Upgrade\r\nUpgrade: x\r\n", behind=HIDDEN)),
    (
        "A9",
        "h2c",
        get(
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            behind=HIDDEN,
        ),
    ),
    ("A9", "a preface of HTTP/2 that is none", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
    (
        "A10",
        "Expect: 100-continue with its body",
        post(b"Content-Length: 3\r\nExpect: 100-continue\r\n", b"abc", HIDDEN),
    ),
    ("A10", "Expect: x", post(b"Content-Length: 3\r\nExpect: x\r\n", b"abc", HIDDEN)),
    (
        "A10",
        "Expect twice",
        post(b"Content-Length: 3\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n", b"abc", HIDDEN),
    ),
    ("A10", "Expect without a body", get(b"Expect: 100-continue\r\n", behind=HIDDEN)),
    ("A13", "trailers", chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", HIDDEN)),
    (
        "A13",
        "trailers that are for heads",
        chunked(
            b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nHost: b.example\r\nAuthorization: x\r\nFaregate-Customer: x\r\n\r\n",
            HIDDEN,
        ),
    ),
    ("A13", "a folded trailer", chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n 2\r\n\r\n", HIDDEN)),
    ("A13", "a trailer without a colon", chunked(b"3\r\nabc\r\n0\r\nX-Sum\r\n\r\n", HIDDEN)),
    ("A13", "a line feed alone behind a trailer", chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\n\r\n", HIDDEN)),
    ("A14", "101 fields", get(b"X: y\r\n" * 99)),
    ("A14", "a head of 40 KB", get(b"X: " + b"y" * 40_000 + b"\r\n")),
    (
        "C1",
        "forwarding fields",
        get(b"X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\n"),
    ),
    (
        "C2",
        "names that look alike",
        get(b"X_Forwarded_For: 1.1.1.1\r\nFaregate_Customer: x\r\nContent_Length: 9\r\n"),
    ),
    (
        "C3",
        "Connection names the gateway's own fields",
        get(b"Connection: X-Forwarded-For, Faregate-Customer, Host, Via\r\n"),
    ),
    (
        "C3",
        "Connection names the length",
        post(b"Content-Length: 3\r\nConnection: Content-Length\r\n", b"abc", HIDDEN),
    ),
    (
        "C3",
        "Connection names the coding",
        post(b"Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n", CHUNK, HIDDEN),
    ),
    ("C4", "who calls", get(b"Faregate-Customer: x\r\nFaregate-Plan: x\r\nFaregate-Key-Id: x\r\n")),
    ("C8", "two keys", get(b"X-API-Key: x\r\n")),
    ("C8", "the same field twice", get(b"Authorization: Bearer x\r\n")),
    ("D1", "//", get(line=b"GET /raw//@P HTTP/1.1")),
    ("D1", "/./", get(line=b"GET /raw/./@P HTTP/1.1")),
    ("D1", "/x/../", get(line=b"GET /raw/x/../@P HTTP/1.1")),
    ("D1", "a letter that is encoded", get(line=b"GET /%72aw/@P HTTP/1.1")),
    ("D1", "%2e%2e", get(line=b"GET /raw/x/%2e%2e/@P HTTP/1.1")),
    ("D1", "%2f", get(line=b"GET /raw%2f@P HTTP/1.1")),
    ("D1", "%5c", get(line=b"GET /raw/x%5c@P HTTP/1.1")),
    ("D1", "a backslash", get(line=b"GET /raw\\@P HTTP/1.1")),
    ("D1", "%00", get(line=b"GET @1%00 HTTP/1.1")),
    ("D1", "%25%32%65 (twice encoded)", get(line=b"GET /raw/x/%252e%252e/@P HTTP/1.1")),
    ("D1", "..;", get(line=b"GET /raw/x/..;/@P HTTP/1.1")),
    ("D1", "half an encoding", get(line=b"GET @1%2 HTTP/1.1")),
    ("D4", "a method behind a method", get(b"X-HTTP-Method-Override: DELETE\r\nX_Method_Override: DELETE\r\n")),
    ("D4", "TRACE", get(line=b"TRACE @1 HTTP/1.1")),
    ("D6", "CONNECT", get(line=b"CONNECT a.example:443 HTTP/1.1", behind=HIDDEN)),
    ("D6", "CONNECT with a path", get(line=b"CONNECT @1 HTTP/1.1", behind=HIDDEN)),
    ("D6", "OPTIONS *", get(line=b"OPTIONS * HTTP/1.1", behind=HIDDEN)),
    ("D6", "a target that is no path", get(line=b"GET x HTTP/1.1")),
]

LINES = [
    b"GET @1 HTTP/1.1",
    b"POST @1 HTTP/1.1",
    b"POST @1 HTTP/1.1",
    b"POST @1 HTTP/1.0",
    b"HEAD @1 HTTP/1.1",
    b"DELETE @1 HTTP/1.1",
    b"POST @1?a=b HTTP/1.1",
]
FIELDS = [
    b"Content-Length: 3",
    b"Content-Length: 0",
    b"Content-Length: 13",
    b"Content-Length: +3",
    b"Content-Length: 3, 3",
    b"Content-Length:3",
    b"Content-Length: 3 ",
    b"content-length: 03",
    b"Content-Length : 3",
    b"Content_Length: 3",
    b"Content-Length: 3\r\nContent-Length: 3",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding:CHUNKED",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: chunked, identity",
    b" Transfer-Encoding: chunked",
    b"Transfer-Encoding\t: chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\x00",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Content-Length",
    b"Expect: 100-continue",
    b"TE: trailers",
    b"Trailer: X",
    b"Upgrade: h2c\r\nConnection: Upgrade",
    b"X-A: \xff",
    b"Keep-Alive: 5",
    b"Proxy-Connection: close",
    b"Accept: */*",
]
BODIES = [
    b"",
    b"abc",
    CHUNK,
    b"0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    b"3;x\r\nabc\r\n0\r\n\r\n",
    b"3\nabc\n0\n\n",
    b"d\r\n0123456789abc\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nabc",
    b"abc\r\n",
    b"\r\n",
    b"0 \r\n\r\n",
]
BYTES = b'\0\t\n\r :;,"\\/%0+-x\x7f\x80\xff'


def variation(random):
    """Returns a request that is put together by chance, and with luck a second one behind it."""
    fields = [b"Host: a.example", b"@K".strip()] + [random.choice(FIELDS) for _ in range(random.randrange(4))]
    if random.random() < 0.5:
        random.shuffle(fields)
    # The line of the key brings its own end.
    text = random.choice(LINES) + b"\r\n"
    text += b"".join(field if field == b"@K" else field + b"\r\n" for field in fields) + b"\r\n"
    text = bytearray(text + random.choice(BODIES))
    if random.random() < 0.7:
        text += HIDDEN
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        at = random.randrange(len(text))
        change = random.randrange(3)
        if change == 0:
            text.insert(at, random.choice(BYTES))
        elif change == 1:
            text[at] = random.choice(BYTES)
        else:
            del text[at]
    return bytes(text)
