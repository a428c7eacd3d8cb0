"""What /proc tells: processor time and memory of processes, and what machine this is."""

import os
import platform
import resource
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(root):
    """The ids of a process and of all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(entry)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, []))
    return found


def cpu_seconds(root):
    """User and system time of a process and its descendants, those included that it has waited for."""
    ticks = 0
    for pid in family(root):
        fields = _stat(pid)
        if fields:
            ticks += sum(int(value) for value in fields[11:15])
    return ticks / TICKS


def busy_seconds():
    """Time that all processors were busy since boot, with what other machines on this hardware took."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = (int(value) for value in fields[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS


def ended_children_seconds():
    """Processor time of this process and of its children that have ended, such as load generators."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)


def memory_bytes(root):
    """Resident memory, of which pages shared by several processes count once (PSS)."""
    total = 0
    for pid in family(root):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def _stat(pid):
    """The fields of /proc/PID/stat from the third on; None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name stands in brackets and may hold anything.
    return text[text.rindex(")") + 2 :].split()


def raise_descriptor_limit():
    """Raises the limit on open files as far as it goes; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard


def load_average():
    """The load average over the last minute."""
    return os.getloadavg()[0]


def machine(directory):
    """What a reader must know about the machine to judge the figures."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "log_file_system": _file_system(directory),
    }


def _file_system(directory):
    directory = os.path.realpath(directory)
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind = line.split()[:3]
        inside = directory == mount or directory.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]
