"""Many new beginnings spread in time, so that what has just been mended is not run over. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.errors import RequestInvalid

MOST_A_MINUTE = 100_000


@dataclass(frozen=True, slots=True)
class Spread:
    """So many a minute at most.

    Args:
        begins_at: when the first one begins.

    Raises:
        RequestInvalid: it is no number from 1 to 100,000.
    """

    begins_at: datetime
    per_minute: int

    def __post_init__(self) -> None:
        if not 1 <= self.per_minute <= MOST_A_MINUTE:
            raise RequestInvalid(f"Say how many a minute, from 1 to {MOST_A_MINUTE:,}.")

    def at(self, place: int) -> datetime:
        """When the one at that place begins, counted from 0."""
        return self.begins_at + timedelta(minutes=1) * place / self.per_minute

    def lasts(self, count: int) -> timedelta:
        """How long it takes until so many have begun."""
        return self.at(max(0, count - 1)) - self.begins_at
