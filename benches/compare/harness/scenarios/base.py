"""What a scenario is, and how processor time per request is measured in all of them."""

import math
import os
import time

from .. import load, system

WARM_UP_SECONDS = 1
WARM_UP_SECONDS_MAX = 60
# Work that is put off, such as the fold of a journal or the flush of a log, belongs to the requests.
AFTERMATH_SECONDS = 0.6
# An access log that lacks more lines than this share of the requests is remarked on.
LOG_MISSING_MAX = 0.01


class Scenario:
    """Something to measure, in rounds over all contestants."""

    name = ""
    title = ""
    figures = ()
    # Programs it needs beside those of the contestants.
    programs = ()
    # Whether each measurement begins with a contestant that was just started; else all stay up.
    fresh = False
    # Whether it runs only when it is named.
    extra = False
    # How many rounds it is worth; None for as many as are asked for.
    rounds_max = None
    # Whether the contestants are to be started with TLS where they have it.
    tls = False

    def lacks(self, contestant, run, instance):
        """Why a contestant cannot be measured; None when it can."""
        return None

    def measure(self, run, contestant, instance):
        """One round of one contestant: its figures by name, and `problem` or `remark` where there is one."""
        raise NotImplementedError


def loaded(run, contestant, instance, status, generate):
    """Warms up, then measures a load: `generate(seconds)` makes it and gives what it counted."""
    _warm_up(run, instance, generate)
    time.sleep(0.2)
    instance.finish()
    instance.empty_log()
    begin, before, ours = time.monotonic(), instance.cpu_seconds(), _ours(run)
    busy = system.busy_seconds()
    counted = generate(run.options.seconds)
    time.sleep(AFTERMATH_SECONDS)
    instance.finish()
    used = instance.cpu_seconds() - before
    others = system.busy_seconds() - busy - used - (_ours(run) - ours)
    instance.check_alive()
    # What is in flight when a load ends is logged as cut off by the client, that of the warm-up too.
    told = report(contestant, instance, counted, used, status, cut=2 * run.options.connections)
    machine_seconds = (time.monotonic() - begin) * (os.cpu_count() or 1)
    told["others"] = max(0.0, others / machine_seconds)
    return told


def _warm_up(run, instance, generate):
    """Before its first round each contestant gets as many requests as there are keys, so that each was used once."""
    counted = generate(WARM_UP_SECONDS)
    if not instance.is_warm and counted.requests < run.options.keys:
        seconds = math.ceil(run.options.keys / max(1, counted.requests) * WARM_UP_SECONDS) + 1
        generate(min(seconds, WARM_UP_SECONDS_MAX))
    instance.is_warm = True


def _ours(run):
    """Processor time of the upstream, the load generators and this program."""
    return system.cpu_seconds(run.stage.upstream.pid) + system.ended_children_seconds()


def report(contestant, instance, counted, used, status, cut=0):
    """Processor time per request and the rate, with what was wrong."""
    stray = contestant.stray if status == 402 else 0.0
    problem = counted.problem(status, stray)
    told = {
        "requests": counted.requests,
        "errors": counted.errors,
        "cpu_seconds": round(used, 3),
        "problem": problem,
    }
    if counted.requests:
        told["cpu_us"] = used / counted.requests * 1e6
        told["per_second"] = counted.requests / counted.seconds
    logged = instance.logged(counted.requests)
    if logged is not None:
        told["logged"] = logged
        if logged["lines"] < counted.requests * (1 - LOG_MISSING_MAX):
            missing = 1 - logged["lines"] / counted.requests
            told["remark"] = f"its log lacks {missing:.0%} of the lines"
        wrong = logged["lines"] - logged.get(status, 0)
        if problem is None and wrong > max(stray, 0.001) * logged["lines"] + cut:
            told["problem"] = f"its log has {wrong} lines with another status than {status}"
    return told


def wrk_to(run, endpoint, keys):
    """A load by wrk to be given to `loaded`."""
    connections = run.options.connections
    return lambda seconds: load.wrk(run.stage.processes, endpoint, keys, seconds, connections)
