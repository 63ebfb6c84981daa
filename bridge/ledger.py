"""When each duty of this bridge last ran, how long that took, and what last went wrong.

Kept in memory and told with each sign of life: a run costs two looks at the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from agent.errors import AgentError
from agent.logs import mask_secrets
from agent.projections.bridges import DutyView
from agent.words import shortened

LONGEST_ERROR = 300

_Value = TypeVar("_Value")


@dataclass(slots=True)
class _Duty:
    ended: float = 0.0
    took: float = 0.0
    error: str | None = None
    failed: float = 0.0


class Ledger:
    """The runs of all duties. Any thread may write; each duty is written by one at a time."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._every: dict[str, float] = {}
        self._monotonic = monotonic
        self._duties: dict[str, _Duty] = {}

    def run(self, name: str, part: Callable[[], _Value]) -> _Value:
        """Run a duty once, and give what it gives; what it raises goes on."""
        began = self._monotonic()
        try:
            value = part()
        except Exception as exc:
            self._note(name, began, told_of(exc))
            raise
        self._note(name, began)
        return value

    def expect(self, every: Mapping[str, float]) -> None:
        """How often these come by themselves."""
        self._every |= every

    def forget(self) -> None:
        """What was before it stands by, or leads again, is told no more."""
        self._duties = {}

    def views(self) -> list[DutyView]:
        """All duties that ran, by name."""
        now = self._monotonic()
        return [self._view(name, duty, now) for name, duty in sorted(self._duties.copy().items())]

    def _note(self, name: str, began: float, error: str | None = None) -> None:
        ended = self._monotonic()
        before = self._duties.get(name)
        # a new one each time, so that whoever reads never sees half of it
        duty = _Duty(ended, ended - began)
        if error is not None:
            duty.error, duty.failed = error, ended
        elif before is not None:
            duty.error, duty.failed = before.error, before.failed
        self._duties[name] = duty

    def _view(self, name: str, duty: _Duty, now: float) -> DutyView:
        return DutyView(
            name,
            age_seconds=round(now - duty.ended, 3),
            took_seconds=round(duty.took, 6),
            every_seconds=self._every.get(name),
            error=duty.error,
            error_age_seconds=None if duty.error is None else round(now - duty.failed, 3),
        )


def told_of(exc: Exception) -> str:
    """What is told of an error: of ours its message, of a bug no more than its type, since its
    message may be a part of somebody's context."""
    if isinstance(exc, AgentError):
        return shortened(mask_secrets(str(exc)[: 4 * LONGEST_ERROR]), LONGEST_ERROR)
    return f"{type(exc).__name__}; the log of the bridge has more"
