"""What processes of this machine have used, read from /proc; None where there is no /proc."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found, children = [pid], _children()
    for member in found:
        found += children.get(member, [])
    return found


def cpu_seconds(*pids: int) -> float | None:
    """What these processes have used up to now, in user and system together."""
    if not PROC.is_dir():
        return None
    return sum(_cpu(pid) for pid in pids)


def busy_seconds() -> float | None:
    """What all processes of this machine have used, and what a host took from it."""
    try:
        fields = (PROC / "stat").read_text().partition("\n")[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, irq, soft_irq, stolen = map(int, fields)
    return (user + nice + system + irq + soft_irq + stolen) / TICKS


def peak_megabytes(pid: int) -> float | None:
    """The most memory that a process held at once (its resident set)."""
    return _megabytes(pid, "VmHWM")


def megabytes(pid: int) -> float | None:
    """The memory that a process holds now."""
    return _megabytes(pid, "VmRSS")


def _megabytes(pid: int, which: str) -> float | None:
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines[which].split()[0]) / 1024


def threads(pid: int) -> int:
    try:
        return len(list((PROC / str(pid) / "task").iterdir()))
    except OSError:
        return 0


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in PROC.glob("[0-9]*"):
        if fields := _stat(int(entry.name)):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return children


def _stat(pid: int) -> list[str]:
    """The fields of `stat` from the third on, behind the name, which may hold anything."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
