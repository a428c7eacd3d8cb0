"""Python: `http.client` in this process, `httpx` in another."""

import http.client
import json

from cases import Missing, expect, wait_for
from clients import told
from gateway import sha256
from servers import TEXT


def run(cases, servers, gateway, _directory):
    """Runs all cases, and compares the books after each library's."""
    customer, spent = gateway.customer(), spend(gateway)
    for case, server in [
        (kept, "nginx"), (head, "caddy"), (iterator, "raw"), (hints, "raw"), (refused, "raw"), (early, "raw"),
    ]:  # fmt: skip
        what = case.__doc__.rstrip(".")
        cases.run("http.client", server, what, started, servers, server, case, gateway, customer, spent)
    cases.run("http.client", "all", "the books", customer.check_books)

    customer = gateway.customer()
    try:
        servers.need("nginx", "caddy")
        command = [servers.python(), str(servers.here / "programs" / "http_client.py")]
    except Missing as missing:
        cases.tell_missing("httpx", "all", "all", str(missing))
        return
    told.run(cases, customer, "httpx", "all", [*command, gateway.url(""), customer.key, spent.key])
    cases.run("httpx", "all", "the books", customer.check_books)
    cases.run("python", "all", "the books of whose quota is used up", spent.check_books)


def spend(gateway):
    """Makes a customer whose quota is used up."""
    customer = gateway.customer("two")
    for _ in range(2):
        expect("the status", ask(connect(gateway), customer, "GET", "/raw/head")[0].status, 200)
    return customer


def connect(gateway):
    return http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)


def ask(connection, customer, method, path, body=None, charged=1):
    """Makes a call and returns the answer and its body."""
    customer.calls += charged
    headers = {"Authorization": f"Bearer {customer.key}"}
    connection.request(method, path, body, headers, encode_chunked=body is not None)
    answer = connection.getresponse()
    return answer, answer.read()


def started(servers, server, case, *arguments):
    servers.need(server)
    case(*arguments)


def kept(gateway, customer, _spent):
    """several calls on one connection."""
    connection = connect(gateway)
    connection.connect()
    socket = connection.sock
    for _ in range(3):
        expect("the body", ask(connection, customer, "GET", "/nginx/text.txt")[1], TEXT.encode())
    expect("the same socket", connection.sock is socket, True)


def head(gateway, customer, _spent):
    """HEAD, and GET behind it."""
    connection = connect(gateway)
    answer, body = ask(connection, customer, "HEAD", "/caddy/text.txt")
    expect("the answer", (answer.status, answer.length, body), (200, 0, b""))
    expect("the length", answer.headers["content-length"], str(len(TEXT)))
    expect("the body", ask(connection, customer, "GET", "/caddy/text.txt")[1], TEXT.encode())


def iterator(gateway, customer, _spent):
    """a body of unknown length, chunked."""
    pieces = (bytes([number]) * 1000 for number in range(200))
    connection = connect(gateway)
    connection.putrequest("POST", "/raw/upload")
    connection.putheader("Authorization", f"Bearer {customer.key}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(pieces, encode_chunked=True)
    customer.calls += 1
    told_back = json.loads(connection.getresponse().read())
    expect("the body", told_back["sha256"], sha256(b"".join(bytes([number]) * 1000 for number in range(200))))


def hints(gateway, customer, _spent):
    """103 is taken for the answer, by the library's fault."""
    # It passes over 100 alone, and RFC 9110 section 15.2 asks it to pass over any 1xx.
    connection = connect(gateway)
    answer, _ = ask(connection, customer, "GET", "/raw/hints")
    expect("the status", answer.status, 103)
    connection.close()


def refused(gateway, _customer, spent):
    """402, and the connection goes on."""
    connection = connect(gateway)
    for _ in range(2):
        answer, body = ask(connection, spent, "GET", "/raw/head", charged=0)
        expect("the status", answer.status, 402)
        expect("the type", answer.headers["content-type"], "application/problem+json")
        expect("the code", json.loads(body)["code"], "quota_exceeded")


def early(gateway, customer, _spent):
    """who leaves in the middle of a stream is charged once."""
    connection = connect(gateway)
    customer.calls += 1
    connection.request("GET", "/raw/events", headers={"Authorization": f"Bearer {customer.key}"})
    expect("the first line", connection.getresponse().readline(), b"id: 1\n")
    connection.close()
    wait_for("the end of the call", lambda: customer.usage()[1] == 0)
