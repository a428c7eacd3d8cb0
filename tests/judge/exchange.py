"""A case: what is sent, what comes back, what the upstream saw, and what the judges say of it all."""

import asyncio
from dataclasses import dataclass, field

import readers
from forms import HIDDEN
from upstream import MARK

# The gateway answers within some milliseconds. To the forms of the tables something always comes; a variation may be half
# a request, to which nothing does.
QUIET_SECONDS = 0.25
FORM_QUIET_SECONDS = 1
FIRST_SECONDS = 10
WHOLE_SECONDS = 15


@dataclass
class Case:
    """What is sent, and what was seen of it."""

    number: int
    table: str
    name: str
    text: bytes
    method: str = ""
    answer: bytes = b""
    back: bytes = b""
    is_closed: bool = False
    answers: list = field(default_factory=list)
    seen: list = field(default_factory=list)

    @classmethod
    def answered(cls, number, table, method, name, answer):
        """Makes the case of an upstream's answer, and a request behind it on the same connection."""
        line = method.encode() + b" @1 HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nConnection: TE\r\n@K\r\n"
        return cls(number, table, name, line + HIDDEN, method, answer)

    @property
    def mark(self):
        return f"c{self.number}"

    def is_taken(self):
        return bool(self.seen)

    def bytes(self, key):
        """Returns what is sent, with this key."""
        mark = self.mark.encode()
        words = [(b"@1", b"/raw/" + mark + b"/1"), (b"@2", b"/raw/" + mark + b"/2"), (b"@P", mark + b"/1")]
        words += [(b"@K", b"X-API-Key: " + key.encode() + b"\r\n")]

        def filled(text):
            for word, value in words:
                text = text.replace(word, value)
            return text

        return filled(self.text).replace(b"@N", str(len(filled(HIDDEN))).encode())


def shown(message):
    """Gives all of a message, in an order of its own."""
    return message.method, message.target, sorted(message.fields), message.body, sorted(message.trailers)


class Judge:
    """Sends cases to a gateway, and says what is wrong with what came of them."""

    def __init__(self, gateway, customer, upstream):
        self.gateway = gateway
        self.key = customer.key
        self.upstream = upstream
        self.failures = []
        self.stricter = 0

    async def judge(self, case):
        """Sends a case and judges it."""
        if case.answer:
            self.upstream.answers[case.mark] = case.answer
        sent = case.bytes(self.key)
        try:
            await asyncio.wait_for(self._exchange(case, sent), WHOLE_SECONDS)
        except TimeoutError:
            return self._fail(case, sent, "no answer came")
        raw = [bytes(record[0]) for record in self.upstream.seen(case.mark)]
        wrong = self._upstream(case, raw)
        wrong = wrong or (self._input(case, sent) if not case.answer else None) or self._back(case)
        if wrong:
            self._fail(case, sent, wrong)

    def charged(self, cases):
        """Returns the calls to be charged: what the upstream was sent a byte of, whatever became of it, unless its
        answer says otherwise."""
        served = sum(case.back.count(b"\r\nfaregate-cost: 1\r\n") for case in cases if case.answer)
        return served + sum(len(self.upstream.seen(case.mark)) for case in cases if not case.answer)

    def check_nothing_else(self):
        """Fails if the upstream was sent bytes that belong to no case."""
        for (record,) in self.upstream.seen(""):
            self.failures.append(f"the upstream was sent {bytes(record)[:200]!r}")

    async def _exchange(self, case, sent):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        try:
            # Every other one in two pieces.
            cut = len(sent) // 2 if case.number % 2 else len(sent)
            writer.write(sent[:cut])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(sent[cut:])
            while True:
                quiet = FORM_QUIET_SECONDS if case.table else QUIET_SECONDS
                if case.table and not case.back:
                    quiet = FIRST_SECONDS
                try:
                    data = await asyncio.wait_for(reader.read(1 << 16), quiet)
                except TimeoutError:
                    return
                if not data:
                    case.is_closed = True
                    return
                case.back += data
        except ConnectionError:
            case.is_closed = True
        finally:
            writer.close()

    def _upstream(self, case, raw):
        """What the upstream got is requests, each of which both judges read alike, and nothing behind them."""
        for data in raw:
            readings = {name: read(data) for name, read in readers.REQUESTS.items()}
            if readings["llhttp"].refused.startswith("HttpParserInvalidMethod"):
                # It knows the registered methods alone; to others any token is one.
                readings["llhttp"] = readings["h11"]
            for name, reading in readings.items():
                if len(reading.messages) != 1 or reading.is_partial:
                    # What the client broke off ends early, and the connection with it.
                    if reading.is_partial and not reading.messages and not reading.refused:
                        break
                    return f"{name} reads {reading} of {data!r}, which the upstream was sent"
            else:
                one, other = (reading.messages for reading in readings.values())
                if [shown(message) for message in one] != [shown(message) for message in other]:
                    return f"the judges read {one} and {other} of what the upstream was sent"
                case.seen += one
        case.seen.sort(key=lambda message: message.target)
        return None

    def _input(self, case, sent):
        """What went up is what each judge reads at the same place of the client's bytes, if it takes it."""
        for name, read in readers.REQUESTS.items():
            reading = read(sent)
            found = [one for one in reading.messages if self._path(one) is not None]
            for message in case.seen:
                path = self._path(message)
                same = [one for one in found if self._path(one) == path]
                if len(same) > 1:
                    return f"{name} reads {path} twice of the client's bytes"
                if not same:
                    # One that refuses what is before it read nothing else there.
                    if reading.refused or reading.is_partial:
                        continue
                    return f"{name} reads no {path} in the client's bytes: {reading}"
                if (same[0].method, same[0].body) != (message.method, message.body):
                    return f"{name} reads {same[0]} of the client's bytes, and the upstream was sent {message}"
            self.stricter += len(found) > len(case.seen)
        return None

    def _path(self, message):
        """Gives the mark in a target."""
        found = MARK.search(message.target.encode("latin-1", "replace"))
        return found and found.group()

    def _back(self, case):
        """What came back is answers that h11 reads, a refused message is the last one, and all is counted."""
        methods = [message.method for message in readers.llhttp_requests(case.bytes(self.key)).messages]
        # What a judge takes for a HEAD all the same may be none here.
        first = "HEAD" if case.text.startswith(b"HEAD ") else "GET"
        methods = [first, *methods[1:], "GET", "GET", "GET"]
        reading = readers.h11_answers(case.back, methods, case.is_closed)
        case.answers = reading.messages
        is_upgraded = any(answer.status == 101 for answer in case.answers)
        is_cut = case.answer and case.is_closed
        if reading.refused and not is_upgraded and not is_cut:
            return f"h11 reads no answer: {reading}"
        closing = [b"close" in answer.values("connection") for answer in case.answers]
        if any(closing[:-1]):
            return "an answer came behind one that closes"
        if any(closing) and not case.is_closed:
            return "the connection was not closed"
        return None

    def _fail(self, case, sent, wrong):
        self.failures.append(f"{case.table} {case.name}: {wrong}\nsent: {sent!r}\nback: {case.back!r}")
