"""HTTP/1.1 as parsers read it that others wrote: h11, and llhttp, which is Node's, by way of httptools."""

from dataclasses import dataclass, field

import h11
import httptools

SIZE_MAX = 1 << 20


@dataclass
class Message:
    """A request or an answer that was read to its end."""

    method: str = ""
    target: str = ""
    status: int = 0
    fields: list = field(default_factory=list)
    body: bytes = b""
    trailers: list = field(default_factory=list)

    def values(self, name):
        """Returns the values of the fields of a name."""
        return [value for found, value in self.fields if found == name]


@dataclass
class Reading:
    """All that was read of some bytes: whole messages, and why it went no further."""

    messages: list
    refused: str = ""
    is_partial: bool = False


def h11_requests(data):
    """Reads requests as a server on h11 does."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=SIZE_MAX)
    answer = [h11.Response(status_code=200, headers=[("Content-Length", "0")]), h11.EndOfMessage()]
    return _h11(connection, data, answer, h11.Request)


def h11_answers(data, methods, is_closed):
    """Reads answers as a client on h11 does that asked by these methods."""
    reading = Reading([])
    for method in methods:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=SIZE_MAX)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
        one, data = _h11_one(connection, data, is_closed, h11.Response)
        reading.messages += one.messages
        if one.refused or one.is_partial or not data:
            return Reading(reading.messages, one.refused, one.is_partial)
    if data:
        reading.refused = f"bytes behind the last answer: {data[:40]!r}"
    return reading


def _h11(connection, data, answer, kind):
    reading = Reading([])
    connection.receive_data(data)
    while True:
        one, _ = _h11_one(connection, b"", False, kind)
        reading.messages += one.messages
        if one.refused or one.is_partial:
            reading.refused, reading.is_partial = one.refused, one.is_partial
            return reading
        rest, _ = connection.trailing_data
        try:
            # It does so of itself with each answer.
            for event in answer:
                connection.send(event)
            connection.start_next_cycle()
        except h11.LocalProtocolError:
            # No other request may follow.
            reading.refused = "closed" if rest else ""
            return reading
        if not rest:
            return reading


def _h11_one(connection, data, is_closed, kind):
    """Reads one message, and returns the bytes behind it."""
    if data:
        connection.receive_data(data)
    if is_closed:
        connection.receive_data(b"")
    message = None
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return Reading([], str(error)), b""
        if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
            if event is h11.PAUSED and message is not None:
                return Reading([message]), connection.trailing_data[0]
            return Reading([], "", True), b""
        if isinstance(event, kind):
            message = Message(fields=[(name.decode().lower(), value) for name, value in event.headers])
            if kind is h11.Request:
                message.method, message.target = event.method.decode(), event.target.decode("latin-1")
            else:
                message.status = event.status_code
        elif isinstance(event, h11.Data):
            message.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            message.trailers = [(name.decode().lower(), value) for name, value in event.headers]
            return Reading([message]), connection.trailing_data[0]


class _Collector:
    """What llhttp calls while it reads."""

    def __init__(self):
        self.messages = []
        self.current = None
        self.is_behind = False

    def on_message_begin(self):
        self.current = Message()
        self.is_behind = False

    def on_headers_complete(self):
        self.is_behind = True

    def on_url(self, url):
        self.current.target += url.decode("latin-1")

    def on_header(self, name, value):
        fields = self.current.trailers if self.is_behind else self.current.fields
        fields.append((name.decode("latin-1").lower(), value or b""))

    def on_body(self, body):
        self.current.body += body

    def on_message_complete(self):
        self.current.method = self.parser.get_method().decode() if self.is_request else ""
        self.current.status = 0 if self.is_request else self.parser.get_status_code()
        self.messages.append(self.current)
        self.current = None


def llhttp_requests(data):
    """Reads requests as Node does."""
    collector = _Collector()
    collector.is_request = True
    collector.parser = httptools.HttpRequestParser(collector)
    return _llhttp(collector, data)


def llhttp_answers(data):
    """Reads answers as Node does; it knows nothing of HEAD here."""
    collector = _Collector()
    collector.is_request = False
    collector.parser = httptools.HttpResponseParser(collector)
    return _llhttp(collector, data)


def _llhttp(collector, data):
    try:
        collector.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        messages = collector.messages
        if messages and (messages[-1].values("content-length") or messages[-1].values("transfer-encoding")):
            # It gave up before the body.
            messages = messages[:-1]
        return Reading(messages, "upgrade")
    except httptools.HttpParserError as error:
        return Reading(collector.messages, repr(error))
    return Reading(collector.messages, "", collector.current is not None)


REQUESTS = {"h11": h11_requests, "llhttp": llhttp_requests}
