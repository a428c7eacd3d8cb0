"""h2spec: what RFC 9113's predecessor and RFC 7541 ask of a server, case by case."""

import subprocess
import xml.etree.ElementTree as tree
from concurrent.futures import ThreadPoolExecutor

from verdict import Verdict

SECONDS = 600


def all_at_once(h2spec, directory, contestants, secured):
    """Runs all cases on each contestant, which wait most of their time; returns verdicts by name."""
    with ThreadPoolExecutor(len(contestants)) as pool:
        verdicts = pool.map(lambda one: run(h2spec, directory, one, secured), contestants)
        return {one.name: verdict for one, verdict in zip(contestants, verdicts)}


def run(h2spec, directory, contestant, secured):
    """Runs all cases by one way to a contestant."""
    report = directory / f"h2spec-{contestant.name}-{'tls' if secured else 'clear'}.xml"
    command = [h2spec, "--host", "127.0.0.1", "--timeout", "2", "--strict", "--junit-report", str(report)]
    command += ["--tls", "--insecure", "--port", str(contestant.secured)] if secured else ["--port", str(contestant.clear)]
    subprocess.run(command, capture_output=True, timeout=SECONDS)
    verdict = Verdict()
    for case in tree.parse(report).getroot().iter("testcase"):
        failure = case.find("failure")
        error = case.find("error")
        found = failure if failure is not None else error
        verdict.total += 1
        if case.find("skipped") is not None:
            verdict.skipped += 1
        elif found is not None:
            said = " ".join("".join(found.itertext()).split())
            verdict.failed.append((f"{case.get('package')}: {case.get('classname')}", said))
    return verdict
