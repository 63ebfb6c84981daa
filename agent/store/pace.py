"""How fast a change of many goes: in batches, so many contexts a second on the whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from agent.errors import RequestInvalid

BATCH = 500
"""Documents of one round trip."""


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


class Pace:
    """Keeps the time of one run.

    Args:
        per_second: None: as fast as it goes.
        wait: waits so many seconds.

    Raises:
        RequestInvalid: it is no number above 0.
    """

    def __init__(
        self,
        per_second: float | None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = _sleep,
    ) -> None:
        if per_second is not None and not 0 < per_second < float("inf"):
            raise RequestInvalid(f"rate: {per_second!r} is no number above 0")
        self._per_second = per_second
        self._monotonic = monotonic
        self._wait = wait
        self._began = monotonic()

    @property
    def batch(self) -> int:
        """How many may go at once: those of a second, and one at least."""
        return BATCH if self._per_second is None else max(1, min(BATCH, int(self._per_second)))

    def keep(self, done: int) -> None:
        """Wait until so many may have been done."""
        if self._per_second is None:
            return
        left = self._began + done / self._per_second - self._monotonic()
        if left > 0:
            self._wait(left)
