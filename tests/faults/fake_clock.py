"""A wrong clock for one process: libfaketime, preloaded into it and what it starts.

Only the time of day is wrong. The monotonic clock, by which programs wait, is left alone, as it is
when a host's clock is wrong.
"""

from __future__ import annotations

import importlib.util
from datetime import datetime, timedelta
from pathlib import Path

from tests.faults.line import Line
from tests.faults.processes import Running
from tests.waiting import wait_until

LIBRARY = Path("vendor", "libfaketime", "src", "libfaketime.so.1")


def off_by(offset: timedelta) -> dict[str, str]:
    """The environment of a process whose clock is ahead by this, or behind."""
    return {
        "LD_PRELOAD": str(_library()),
        "FAKETIME": f"{offset.total_seconds():+g}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }


def clock_error(line: Line, process: Running) -> timedelta:
    """How far ahead of MongoDB's clock the last line of a process's log is: as it was when the line
    was written, and some seconds less by now."""
    told = wait_until(lambda: [each for each in process.lines() if "timestamp" in each])
    return datetime.fromisoformat(told[-1]["timestamp"]) - line.repository.now()


def _library() -> Path:
    """It is not imported: its own module would start this process anew."""
    package = importlib.util.find_spec("libfaketime")
    assert package is not None, "libfaketime is not installed: make setup"
    assert package.origin is not None
    library = Path(package.origin).parent / LIBRARY
    assert library.exists(), f"libfaketime has no library for this machine: {library}"
    return library
