"""The page with the tables."""

HEAD = """# Messages that can be read in two ways

What becomes of requests and answers that parsers have read in different ways. The tables are made by `tests/judge/run`, which
sends each form raw to a gateway and keeps every byte that comes out of it on either side. Two parsers that others wrote judge it: h11
(Python) and llhttp (Node.js). For each form, and for some thousand variations that are put together by chance in each run, it must hold:

- What the upstream is sent on a connection is one request, which both judges read alike.
- It is what each judge reads in the client's bytes at that place, if it takes them: the same method, path and body.
- What comes back is answers that h11 reads, and nothing is answered behind a message that is refused.
- The books have exactly the calls that the upstream was sent a byte of, and of the answers those that say so.

`*/1` is the path of a case's first request and `*/2` that of one behind it; in tables A1 to A4 the second one hides where another
parser might see a body, or a body where another might see it. *Closed* is the client's connection.
"""
OTHERS = """
## Other judges

Run by hand against a public route, before an upstream that answers any request; none of them needs a key.

| | cases | as expected |
| --- | --- | --- |
| h1spec (github.com/dropseed/h1spec), with `--strict` | 33 | 33, with a client that does not close its sending side behind the request; who does so has left here, and 25 are as expected |
| h1spec (github.com/uNetworking/h1spec) | 33 | 33; a refused request whose body does not come is answered after half a second |
| httplint (PyPI), of a page and of refusals with 400, 401, 404, 417, 431 and 501 | 8 | 8 |
| slowhttptest (Debian), 400 connections with slow heads, bodies and reading, 15 s each | 3 | 3: others are answered in less than 50 ms meanwhile |
"""
REQUESTS = """
## Requests

| | form | what comes back | what the upstream is sent |
| --- | --- | --- | --- |
"""
ANSWERS = """
## Answers of the upstream

The first request is answered in the form of the table, the second one with `200` and the body `ok`.

| | to | form | what comes back |
| --- | --- | --- | --- |
"""


def page(forms, answers):
    """Writes the page."""
    rows = [f"| {case.table} | {cell(case.name)} | {back(case)} | {seen(case)} |\n" for case in forms]
    others = [f"| {case.table} | {case.method} | {cell(case.name)} | {back(case)} |\n" for case in answers]
    return HEAD + REQUESTS + "".join(rows) + ANSWERS + "".join(others) + OTHERS


def cell(text):
    return text.replace("|", "\\|")


def back(case):
    """Tells the answers, in their order."""
    told = [one(answer, case) for answer in case.answers]
    if case.back and not told:
        told = ["a part of an answer"]
    if case.is_closed:
        told.append("closed")
    return ", ".join(told) or "nothing"


def one(answer, case):
    if answer.status < 400:
        body = f" `{answer.body.decode('latin-1')}`" if case.answer and answer.body else ""
        return f"{answer.status}{body}"
    code = answer.body.partition(b'"code":"')[2].partition(b'"')[0].decode()
    return f"{answer.status} {code}".strip()


def seen(case):
    """Tells the requests, with what could be smuggled in them."""
    told = []
    for message in case.seen:
        path = message.target.replace(f"/{case.mark}/", "*/")
        body = f" `{message.body.decode('latin-1')[:20]}`" if message.body else ""
        told.append(f"{message.method} `{path}`{body}")
    return ", ".join(told) or "nothing"
