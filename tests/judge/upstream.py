"""The upstream: it keeps every byte, request by request, and answers by the path."""

import asyncio
import re

import h11

from readers import SIZE_MAX

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
MARK = re.compile(rb"/(c\d+)/([12])")

# How long a connection is open for another request, behind an answer that does not close it.
OPEN_SECONDS = 0.1


class Upstream:
    """Listens on a port of its own."""

    def __init__(self):
        self.came = {}
        self.answers = {}

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    def stop(self):
        self.server.close()

    def seen(self, mark):
        """Returns what came with a case's mark, up to the end of a request and what stood behind it in the same
        read; bytes without a mark are nobody's."""
        return self.came.get(mark, [])

    async def _serve(self, reader, writer):
        """Takes one request and closes behind its answer; all that comes until the gateway closes is kept. A connection
        with an answer of a case's own is open for a moment, as if it were good for another request."""
        connection = Connection(self)
        try:
            while data := await asyncio.wait_for(reader.read(1 << 16), connection.patience()):
                answer = connection.take(data)
                if answer:
                    writer.write(answer)
                    await writer.drain()
                    if not connection.is_open():
                        writer.write_eof()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()


class Connection:
    """What came on a connection, and what is to be answered."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.came = bytearray()
        self.record = None
        self.scripted = None
        self.reading = new_reading()

    def patience(self):
        return OPEN_SECONDS if self.is_open() else None

    def is_open(self):
        return bool(self.scripted)

    def take(self, data):
        """Keeps bytes; returns the answer to the request that they end."""
        self.came += data
        found = MARK.search(self.came)
        mark = found.group(1).decode() if found else ""
        if self.record is None and (found or len(self.came) > 64):
            self.record = [self.came]
            self.upstream.came.setdefault(mark, []).append(self.record)
        if not is_whole(self.reading, data):
            return None
        self.reading, self.came, self.record = new_reading(), bytearray(), None
        is_first = found and found.group(2) == b"1"
        self.scripted = self.upstream.answers.get(mark, b"") if is_first else b""
        return self.scripted or PLAIN


def new_reading():
    return h11.Connection(h11.SERVER, max_incomplete_event_size=SIZE_MAX)


def is_whole(reading, data):
    """Tells whether a request has come to its end; one that cannot be read has."""
    reading.receive_data(data)
    while True:
        try:
            event = reading.next_event()
        except h11.RemoteProtocolError:
            return True
        if event is h11.NEED_DATA:
            return False
        if event is h11.PAUSED or isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            return True
