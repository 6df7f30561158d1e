"""CPU time and memory of the application's processes, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
# What a command line holds → our name of the process; the first that fits counts.
_NAMES = (
    ("uvicorn", "web"),
    ("runworker", "runner"),
    ("celery", "worker"),
    ("valkey", "valkey"),
    ("chroma", "chroma"),
    ("llamacpp_server", "model"),
    ("supervisord", "supervisor"),
    ("knowledge.loaders", "extraction"),
    ("manage.py up", "up"),
    (" up", "up"),
)


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    name: str


def tree(root: int) -> list[Process]:
    """`root` and everything below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = _stat(int(entry.name))
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(Process(pid, name_of(pid)))
        waiting += parents.get(pid, [])
    return found


def name_of(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone"
    for sign, name in _NAMES:
        if sign in command:
            return name
    return "other"


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command's name: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(root: int) -> dict[str, float]:
    """User and system time so far by name of process; children that ended are counted with their parent."""
    total: dict[str, float] = {}
    for process in tree(root):
        try:
            fields = _stat(process.pid)
        except OSError:
            continue
        ticks = sum(int(value) for value in fields[11:15])  # utime stime cutime cstime
        total[process.name] = total.get(process.name, 0.0) + ticks / _TICK
    return total


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def memory_mb(root: int) -> dict[str, float]:
    """Proportional set size in MB (10^6 bytes) by name of process: shared pages count once, divided."""
    total: dict[str, float] = {}
    for process in tree(root):
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        pss = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
        total[process.name] = total.get(process.name, 0.0) + pss * 1024 / 1e6
    return total


def load_average() -> float:
    """Of the last minute: above the number of cores, other work disturbed the measurement."""
    return os.getloadavg()[0]


def peak_mb(pid: int) -> float:
    """The largest resident size of a process so far, in MB; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), 0.0)
