"""Cases: each is run within its time, and told in one line."""

import signal
import time
import traceback

CASE_SECONDS = 20
TOTAL_SECONDS = 180


class Missing(Exception):
    """A program or library that a case needs is not there."""


class TooLong(BaseException):
    """A case's time is over. Not an `Exception`, so that no case takes it for one of its own."""


def expect(what, actual, wanted):
    """Fails unless both are equal."""
    if actual != wanted:
        raise AssertionError(f"{what}: {shown(actual)}, expected {shown(wanted)}")


def expect_in(what, wanted, actual):
    """Fails unless the one is in the other."""
    if wanted not in actual:
        raise AssertionError(f"{what}: no {shown(wanted)} in {shown(actual)}")


def shown(value):
    text = repr(value)
    return text if len(text) <= 2000 else f"{text[:2000]}… ({len(text)} characters)"


def wait_for(what, condition, seconds=10):
    """Returns the first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


class Cases:
    """Runs cases one after the other and remembers those that failed."""

    def __init__(self, allow_missing):
        self.allow_missing = allow_missing
        self.end = time.monotonic() + TOTAL_SECONDS
        self.passed = 0
        self.missing = 0
        self.failed = []
        signal.signal(signal.SIGALRM, self._ring)

    def run(self, client, server, what, case, *arguments):
        """Runs one case."""
        begin = time.monotonic()
        try:
            signal.setitimer(signal.ITIMER_REAL, max(0.01, min(CASE_SECONDS, self.end - begin)))
            try:
                case(*arguments)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Missing as missing:
            self.tell_missing(client, server, what, str(missing))
        except TooLong:
            self.tell(client, server, what, "it took too long", time.monotonic() - begin)
        except AssertionError as failure:
            self.tell(client, server, what, str(failure), time.monotonic() - begin)
        except Exception:
            self.tell(client, server, what, traceback.format_exc(), time.monotonic() - begin)
        else:
            self.tell(client, server, what, None, time.monotonic() - begin)

    def tell(self, client, server, what, failure, seconds):
        """Tells what became of a case."""
        result = "FAILED" if failure else "ok"
        if failure:
            self.failed.append(f"{client}, {server}, {what}\n{failure}")
        else:
            self.passed += 1
        print(f"{client:<12} {server:<10} {what:<58} {result:<7} {seconds:5.1f} s", flush=True)

    def tell_missing(self, client, server, what, missing):
        """Tells of a case, or of a group of cases, that cannot be run."""
        if not self.allow_missing:
            self.tell(client, server, what, f"missing: {missing}", 0)
            return
        self.missing += 1
        print(f"{client:<12} {server:<10} {what:<58} missing: {missing}", flush=True)

    def _ring(self, _signal, _frame):
        raise TooLong
