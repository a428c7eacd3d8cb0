"""Answers of upstreams that parsers have read in different ways: tables A11 to A13 and C7.

A row has the method that is asked by, and the answer's bytes."""

OK = b"HTTP/1.1 200 OK\r\n"
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"


def answer(fields, body=b"", line=b"HTTP/1.1 200 OK"):
    """Returns an answer with these fields."""
    return line + b"\r\n" + fields + b"\r\n" + body


ANSWERS = [
    ("-", "GET", "a length", answer(b"Content-Length: 3\r\n", b"abc")),
    ("-", "GET", "chunks", answer(b"Transfer-Encoding: chunked\r\n", b"3;x=y\r\nabc\r\n0\r\n\r\n")),
    ("-", "GET", "the end of the connection", answer(b"", b"abc")),
    ("A11", "HEAD", "a body to HEAD", answer(b"Content-Length: 3\r\n", b"abc")),
    ("A11", "HEAD", "chunks to HEAD", answer(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n")),
    (
        "A11",
        "GET",
        "204 with a length and a body",
        answer(b"Content-Length: 3\r\n", b"abc", b"HTTP/1.1 204 No Content"),
    ),
    (
        "A11",
        "GET",
        "204 with a coding",
        answer(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"HTTP/1.1 204 No Content"),
    ),
    (
        "A11",
        "GET",
        "304 with a length and a body",
        answer(b"Content-Length: 3\r\n", b"abc", b"HTTP/1.1 304 Not Modified"),
    ),
    (
        "A11",
        "GET",
        "103 with a length",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\nLink: </a>\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nok",
    ),
    (
        "A11",
        "GET",
        "103 with a body",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nabc" + OK + b"Content-Length: 2\r\n\r\nok",
    ),
    (
        "A11",
        "GET",
        "100 that nobody asked for",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
    ),
    (
        "A11",
        "GET",
        "101 that nobody asked for",
        answer(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"abc", b"HTTP/1.1 101 Switching Protocols"),
    ),
    ("A12", "GET", "two lengths that differ", answer(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abc")),
    ("A12", "GET", "a list of two lengths", answer(b"Content-Length: 3, 4\r\n", b"abc")),
    ("A12", "GET", "two equal lengths", answer(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc")),
    (
        "A12",
        "GET",
        "a length and a coding",
        answer(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
    ),
    ("A12", "GET", "+3", answer(b"Content-Length: +3\r\n", b"abc")),
    ("A12", "GET", "gzip, chunked", answer(b"Transfer-Encoding: gzip, chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n")),
    ("A12", "GET", "identity", answer(b"Transfer-Encoding: identity\r\n", b"abc")),
    (
        "A12",
        "GET",
        "a coding in HTTP/1.0",
        answer(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"HTTP/1.0 200 OK"),
    ),
    (
        "A12",
        "GET",
        "chunks with bad sizes",
        answer(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n+1\r\nd\r\n0\r\n\r\n"),
    ),
    ("A12", "GET", "chunks that end early", answer(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n5\r\nde")),
    ("A12", "GET", "a length that is not reached", answer(b"Content-Length: 9\r\n", b"abc")),
    ("A12", "GET", "two answers", answer(b"Content-Length: 3\r\n", b"abc" + NEXT)),
    ("A12", "GET", "an answer behind chunks", answer(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n" + NEXT)),
    ("A12", "GET", "line feeds alone", answer(b"Content-Length: 3\r\n", b"abc").replace(b"\r\n", b"\n")),
    ("A12", "GET", "a folded field", answer(b"X-A: b\r\n c\r\nContent-Length: 3\r\n", b"abc")),
    ("A12", "GET", "a NUL in a field", answer(b"X-A: b\0\r\nContent-Length: 3\r\n", b"abc")),
    ("A12", "GET", "a carriage return in a field", answer(b"X-A: b\rc\r\nContent-Length: 3\r\n", b"abc")),
    ("A12", "GET", "a blank before the colon", answer(b"Content-Length : 3\r\n", b"abc")),
    ("A12", "GET", "a status that is none", answer(b"Content-Length: 3\r\n", b"abc", b"HTTP/1.1 2x0 OK")),
    ("A12", "GET", "a status of 4 digits", answer(b"Content-Length: 3\r\n", b"abc", b"HTTP/1.1 2000 OK")),
    ("A12", "GET", "HTTP/2.0", answer(b"Content-Length: 3\r\n", b"abc", b"HTTP/2.0 200 OK")),
    ("A12", "GET", "no HTTP at all", b"hello\r\n\r\n"),
    (
        "A13",
        "GET",
        "trailers that are for heads",
        answer(
            b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n"
        ),
    ),
    (
        "C7",
        "GET",
        "fields of the gateway's own",
        answer(b"Faregate-Cost: 0\r\nRateLimit: x\r\nContent-Length: 3\r\n", b"abc"),
    ),
    ("C7", "GET", "402", answer(b"Content-Length: 3\r\n", b"abc", b"HTTP/1.1 402 Payment Required")),
]
