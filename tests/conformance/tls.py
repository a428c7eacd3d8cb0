"""tlsfuzzer: conversations that keep to TLS 1.2 and 1.3 or break it, script by script."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts import SCRIPTS
from verdict import Verdict

HERE = Path(__file__).resolve().parent
SECONDS = 120
AT_ONCE = 6
# Of scripts with thousands of cases so many are drawn.
DRAWN = "40"


def run(python, tlsfuzzer, contestant, only):
    """Runs all scripts against a contestant; returns a verdict for each."""
    rows = [row for row in SCRIPTS if not only or row[0] in only]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = pool.map(lambda row: script(python, tlsfuzzer, contestant, *row), rows)
        return {name: verdict for (name, *_), verdict in zip(rows, verdicts)}


def script(python, tlsfuzzer, contestant, name, *arguments):
    """Runs one script."""
    options = ["-h", "127.0.0.1", "-p", str(contestant.secured), *arguments]
    text = (tlsfuzzer / "tlsfuzzer" / "_apps" / f"test_{name}.py").read_text()
    if re.search(r"""opt == ['"]-d['"]""", text):
        options.append("-d")
    if re.search(r"""opt == ['"]-n['"]""", text):
        options += ["-n", DRAWN]
    command = [python, "-u", str(HERE / "conversation.py"), name, *options]
    environment = {**os.environ, "PYTHONPATH": str(tlsfuzzer), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return Verdict(1, 0, [("the script", f"took more than {SECONDS} s")])
    return read(done.stdout)


def read(told):
    """Reads what a script tells at its end."""
    counts = {name: int(number) for name, number in re.findall(r"^([A-Z]+): (\d+)$", told, re.MULTILINE)}
    if "TOTAL" not in counts:
        return Verdict(1, 0, [("the script", " ".join(told[-600:].split()))])
    _, _, names = told.rpartition("\nFAILED:\n")
    lines = [line.strip() for line in names.splitlines() if line.startswith("\t")] if counts["FAIL"] else []
    # A case that is repeated has failed once, and the first and the last one are the same.
    failed = [(name, reason(told, name)) for name in dict.fromkeys(lines)]
    return Verdict(counts["TOTAL"], counts["SKIP"], failed)


def reason(told, name):
    """Returns what was unexpected in a conversation."""
    _, _, behind = told.rpartition(f"\n{name[1:-1]} ...\n")
    found = re.search(r"^(?:\S*Error|\S*Exception|tlslite\S*): ?.*", behind, re.MULTILINE)
    return found.group(0)[:400] if found else ""
