"""How a client program tells the driver of its cases: a line of JSON each."""

import asyncio
import json
import time
import traceback

CASE_SECONDS = 10


def say(document):
    print(json.dumps(document), flush=True)


def expect(what, actual, wanted):
    """Fails unless both are equal."""
    if actual != wanted:
        raise AssertionError(f"{what}: {str(actual)[:500]!r}, expected {str(wanted)[:500]!r}")


async def tell(what, calls, case):
    """Runs one case, which makes so many calls that are charged."""
    begin, failure = time.monotonic(), None
    try:
        await asyncio.wait_for(case, CASE_SECONDS)
    except AssertionError as error:
        failure = str(error)
    except Exception:
        failure = traceback.format_exc()
    say({"what": what, "calls": calls, "failure": failure, "seconds": time.monotonic() - begin})
