"""System calls per forwarded request: counted by the kernel through perf, else by strace."""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .. import load
from ..failure import Failure
from ..figures import Figure
from .base import Scenario

SECONDS = 2
_EVENTS = [Path("/sys/kernel/tracing/events/syscalls"), Path("/sys/kernel/debug/tracing/events/syscalls")]
_NAMES = """accept4 clock_nanosleep close epoll_ctl epoll_pwait epoll_wait fdatasync futex getpid getsockopt
madvise nanosleep pread64 pwrite64 read readv recvfrom recvmsg sched_yield sendmsg sendto setsockopt timerfd_settime
write writev""".split()


class SystemCalls(Scenario):
    """All keys at full speed, while the contestant's system calls are counted."""

    name = "syscalls"
    title = "system calls per forwarded request, all keys"
    figures = (Figure("calls", "system calls/request", digits=2, ratio=True),)
    programs = ("wrk", "strace")

    def measure(self, run, contestant, instance):
        """The count, and the most frequent ones as the remark."""
        keys, endpoint = run.workload.keys_file("paying"), instance.endpoints["checked"]
        processes, connections = run.stage.processes, run.options.connections
        load.wrk(processes, endpoint, keys, 1, connections)
        count = _perf if _perf_works() else _strace
        counter, read = count(run, instance)
        time.sleep(0.4)
        try:
            counted = load.wrk(processes, endpoint, keys, SECONDS, connections)
            counter.send_signal(signal.SIGINT)
            _, printed = counter.communicate(timeout=20)
        finally:
            processes.stop(counter)
        total, by_name = read(printed)
        told = {"requests": counted.requests, "problem": counted.problem(200), "counter": count.__name__[1:]}
        if counted.requests:
            told["calls"] = total / counted.requests
            told["by_name"] = {name: calls / counted.requests for name, calls in by_name.items()}
            often = sorted(told["by_name"].items(), key=lambda pair: -pair[1])[:6]
            told["remark"] = ", ".join(f"{name} {calls:.2f}" for name, calls in often if calls >= 0.01)
            told["remark"] += f" ({told['counter']})"
        return told


def _perf_works():
    if shutil.which("perf") is None:
        return False
    command = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and re.search(r"^\d+,", done.stderr, re.MULTILINE) is not None


def _perf(run, instance):
    """Starts perf, which does not slow the contestant down noticeably."""
    folder = next((one for one in _EVENTS if one.is_dir()), None)
    names = [name for name in _NAMES if folder and (folder / f"sys_enter_{name}").is_dir()]
    events = ["raw_syscalls:sys_enter", *(f"syscalls:sys_enter_{name}" for name in names)]
    pids = ",".join(str(pid) for pid in instance.pids())
    command = ["perf", "stat", "-x", ",", "-e", ",".join(events), "-p", pids]
    counter = run.stage.processes.start(command, stderr=subprocess.PIPE, text=True)
    return counter, _read_perf


def _read_perf(printed):
    total, by_name = 0, {}
    for line in printed.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[0].isdigit():
            if fields[2] == "raw_syscalls:sys_enter":
                total = int(fields[0])
            else:
                by_name[fields[2].removeprefix("syscalls:sys_enter_")] = int(fields[0])
    if total == 0:
        raise Failure(f"perf counted nothing: {printed[-500:]}")
    return total, by_name


def _strace(run, instance):
    """Starts strace. It makes everything slower, so fewer calls come for each wake-up than otherwise."""
    command = ["strace", "-c", "-f"]
    for pid in instance.pids():
        command += ["-p", pid]
    counter = run.stage.processes.start(command, stderr=subprocess.PIPE, text=True)
    return counter, _read_strace


def _read_strace(printed):
    by_name = {}
    for line in printed.splitlines():
        found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", line)
        if found and found.group(2) != "total":
            by_name[found.group(2)] = int(found.group(1))
    if not by_name:
        raise Failure(f"strace counted nothing: {printed[-500:]}")
    return sum(by_name.values()), by_name
