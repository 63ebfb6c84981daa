"""How many requests each caller may make: a bucket of tokens for each, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_SECONDS = 2.0
"""So much of the rate may be asked at once after a while of silence."""


class RateLimit:
    """So many a second for each name. To be asked from one thread (the event loop)."""

    def __init__(
        self, per_second: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = per_second
        self._most = max(1.0, per_second * BURST_SECONDS)
        self._monotonic = monotonic
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> float:
        """Take a token: 0, or in how many seconds there will be one."""
        now = self._monotonic()
        level, at = self._buckets.get(name, (self._most, now))
        level = min(self._most, level + (now - at) * self._rate)
        taken = level >= 1
        self._buckets[name] = (level - 1 if taken else level, now)
        return 0.0 if taken else (1 - level) / self._rate
