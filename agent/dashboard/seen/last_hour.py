"""The last hour of every service, read from the minutes in Redis."""

from __future__ import annotations

from agent.api.health import Cached
from agent.dashboard.house import House
from agent.dashboard.seen.answers import Answers, answers_of
from agent.errors import BrokerUnavailable
from agent.projections.minute_view import HOUR, read_minutes

KEPT_SECONDS = 5.0
"""However many pages are open, Redis is asked once in that time."""


class LastHour:
    """What was read, kept for a moment and shared by all who look."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._kept = Cached(self._read, seconds=KEPT_SECONDS)

    def __call__(self) -> dict[str, Answers] | None:
        """By service; None while Redis is away."""
        return self._kept()

    def _read(self) -> dict[str, Answers] | None:
        settings = self._house.settings
        try:
            found = read_minutes(self._house.client, settings.namespace, [*settings.registry], HOUR)
        except BrokerUnavailable:
            return None
        return {name: answers_of(series) for name, series in found.items()}
