"""Processes that are killed, stopped for longer than their lease, and replaced as by a deploy."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.processes import PROC, Running
from tests.nemesis.ground import Slot, has_started
from tests.nemesis.injection import Injection

SECOND_SIGNAL_SECONDS = 0.1
"""Soon, while the first is being heeded: one that comes when all is done, while the interpreter of
Dramatiq's own master ends, is answered by Python's default."""
STOP_SECONDS = 45.0
"""A worker gives its calls 20 s, and may wait for servers that are away."""


class Killed(Injection):
    """SIGKILL to the process and all that it started; a while later another one is there."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._pids: list[int] = []

    def begin(self) -> None:
        self._pids = self._slot.running.members()
        assert self._pids
        self._slot.running.kill()

    def has_struck(self) -> bool:
        return all(_is_gone(pid) for pid in self._pids)

    def end(self) -> None:
        self._slot.start()


class Stopped(Injection):
    """SIGSTOP, and SIGCONT when its lease is over."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def begin(self) -> None:
        self._slot.running.freeze()

    def has_struck(self) -> bool:
        return all(_state(pid) in {"T", None} for pid in self._slot.running.members())

    def end(self) -> None:
        self._slot.running.thaw()


class Replaced(Injection):
    """Another process beside it, and SIGTERM to all of its group, twice, as platforms do."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._leaving: Running | None = None
        self._second_at: float | None = None
        self._had_started = False

    def begin(self) -> None:
        self._had_started = has_started(self._slot.running)
        self._leaving = self._slot.replace()
        self._leaving.terminate()
        self._second_at = time.monotonic() + SECOND_SIGNAL_SECONDS

    def has_struck(self) -> bool:
        assert self._leaving is not None
        if self._second_at is not None and time.monotonic() >= self._second_at:
            self._second_at = None
            if self._leaving.handle.alive:
                self._leaving.terminate()
        return not self._leaving.handle.alive

    def end(self) -> None:
        assert self._leaving is not None
        code = self._leaving.wait(STOP_SECONDS)
        # before it had started Python itself answers the signal
        assert code == 0 or not self._had_started, f"{self._slot.name} ended with {code}"


def _is_gone(pid: int) -> bool:
    return _state(pid) in {"Z", "X", None}


def _state(pid: int) -> str | None:
    """As Linux tells it; None when there is no such process."""
    path: Path = PROC / str(pid) / "stat"
    try:
        return path.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
