"""How often, and for how long, the client tries: what is worth another try, and when. Pure, but for
the clock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from agent.client.errors import Unavailable
from agent.client.problems import is_in_progress

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
SPREAD = 0.25
"""Of a time that the server named, so that not all come back at once."""

Clock = Callable[[], float]
Timeout = float | timedelta | None


def seconds_of(duration: float | timedelta) -> float:
    """A duration, however it was given."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


class Tries:
    """The tries of one call.

    Args:
        where: who is asked, for the message.
        patience: seconds that all of them may take.
    """

    def __init__(self, where: str, patience: float, clock: Clock = time.monotonic) -> None:
        self._where = where
        self._patience = patience
        self._clock = clock
        self.maybe_done = False
        """Whether an earlier try may have had its effect, for all that is known."""
        self.renew()

    def renew(self) -> None:
        """Begin anew: the server was there."""
        self._count = 0
        self._end = self._clock() + self._patience

    def extend(self, seconds: float) -> None:
        """Do not count this time: it was spent on sending."""
        self._end += seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - self._clock()

    def after_error(self, reason: str, *, sent: bool) -> float:
        """How long to wait after a try that brought no answer.

        Raises:
            Unavailable: there is no time left.
        """
        self.maybe_done = self.maybe_done or sent
        return self._pause(reason, None)

    def after_reply(self, status: int, content: bytes, retry_after: str | None) -> float | None:
        """How long to wait after this reply; None if it is the one.

        Raises:
            Unavailable: there is no time left.
        """
        if not is_worth_another_try(status, content):
            return None
        self.maybe_done = self.maybe_done or status >= 500
        return self._pause(f"it answered {status}", read_retry_after(retry_after))

    def _pause(self, reason: str, asked: float | None) -> float:
        left = self.left
        if left <= 0:
            raise Unavailable(
                f"no answer from {self._where} for {self._patience:g} s; the last try: {reason}"
            )
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._count, 20), LONGEST_PAUSE_SECONDS)
        self._count += 1
        pause *= random.uniform(0.5, 1)
        if asked is not None:
            pause = max(pause, asked * random.uniform(1, 1 + SPREAD))
        return min(pause, left)


def is_worth_another_try(status: int, content: bytes) -> bool:
    """Whether the same, sent again, may be answered better."""
    return status == 429 or status >= 500 or is_in_progress(status, content)


def read_retry_after(value: str | None) -> float | None:
    """The seconds that `Retry-After` names, as a number or as a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC))
               .total_seconds())  # fmt: skip
