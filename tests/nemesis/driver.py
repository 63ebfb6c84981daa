"""Does the faults of a plan at their times, and looks whether each has struck."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tests.nemesis.drawn_faults import overlap
from tests.nemesis.ground import Ground
from tests.nemesis.injection import Injection
from tests.nemesis.injections import injection_of
from tests.nemesis.plan import Fault, Kind
from tests.nemesis.process_faults import STOP_SECONDS
from tests.nemesis.work import Work

LOOK_SECONDS = 0.02
STRIKE_SECONDS = 30.0
"""What has not struck by then never does."""
MORE_SECONDS = 1.5
"""After the work is done, a fault that needs some gets some so often."""

Say = Callable[[str], None]


class NeverStruck(Exception):
    """A fault did not do what it was to do: the seed has shown nothing."""


class _Active:
    """A fault that has begun."""

    def __init__(self, fault: Fault, injection: Injection) -> None:
        self.fault, self.injection = fault, injection
        self.began = time.monotonic()
        self.has_struck = False

    def go_on(self) -> bool:
        """Look at it, and end it when its time is over; whether it has ended."""
        self.has_struck = self.has_struck or self.injection.has_struck()
        age = time.monotonic() - self.began
        if not self.has_struck:
            if age > (STOP_SECONDS if "replaced" in self.fault.kind else STRIKE_SECONDS):
                raise AssertionError("did not strike")
            return False
        if age < self.fault.seconds:
            return False
        self.injection.end()
        return True


class Driver:
    """The faults of one plan, from the first to the last that is put right."""

    def __init__(self, faults: Sequence[Fault], ground: Ground, work: Work, say: Say) -> None:
        self._waiting = list(faults)
        self._active: list[_Active] = []
        self._ground, self._work, self._say = ground, work, say
        self._more_at = 0.0
        self.struck: list[Kind] = []

    def run(self) -> None:
        """Return when the work is submitted and every fault has struck and is over.

        Raises:
            NeverStruck: one did not.
        """
        began = time.monotonic()
        self._work.start()
        while self._waiting or self._active or not self._work.is_done:
            self._begin_what_is_due(time.monotonic() - began)
            for active in list(self._active):
                if _told(active.fault, active.go_on):
                    self._active.remove(active)
                    self.struck.append(active.fault.kind)
            self._give_work()
            time.sleep(LOOK_SECONDS)
        if self._work.error is not None:
            raise self._work.error

    def _begin_what_is_due(self, now: float) -> None:
        for fault in list(self._waiting):
            if fault.at > now:
                return
            if any(overlap(fault.target, active.fault.target) for active in self._active):
                continue  # the one before took longer than was planned
            self._waiting.remove(fault)
            self._say(f"{fault.kind} ({fault.target})")
            active = _Active(fault, injection_of(fault, self._ground, self._work))
            _told(fault, active.injection.begin)
            self._active.append(active)

    def _give_work(self) -> None:
        if not self._work.is_done or all(active.has_struck for active in self._active):
            return
        if time.monotonic() >= self._more_at and self._ground.mongodb.alive:
            self._work.submit_more()
            self._more_at = time.monotonic() + MORE_SECONDS


def _told(fault: Fault, do: Callable[[], bool | None]) -> bool:
    try:
        return bool(do())
    except AssertionError as exc:
        raise NeverStruck(f"{fault.kind} ({fault.target}): {exc}") from exc
