"""How many contexts there are, by service and status, at a price that does not grow with them.

Of few all are counted whenever somebody asks. Of many only those that are open, so many at most;
what is final, and what is beyond that, is counted in the background now and then, and told as
`About` so many.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from agent.dashboard.words import About
from agent.errors import AgentError
from agent.logs import get_logger, mask_secrets
from agent.models import OPEN

EXACT = 5_000
"""Up to so many contexts all are counted."""
OPEN_COUNTED = 20_000
AT_ONCE = 50_000
"""More than so many are counted in the background only, though they were few the last time."""
EVERY_SECONDS = 60.0
REST_FACTOR = 60
"""At most a sixtieth of the time is spent on counting in the background."""
PATIENCE_SECONDS = 1.0
"""For the first count: whoever comes first would rather wait than see none."""

Counts = Mapping[str, Mapping[str, int | None]]
"""By service type and status; None where it is not known yet."""
Exact = dict[str, dict[str, int]]

log = get_logger()


class Source(Protocol):
    """What is asked of the repository."""

    def count_by_status(self) -> Exact:
        """All that there is."""

    def estimated_count(self) -> int:
        """About how many there are."""

    def count_open(self, up_to: int) -> tuple[Exact, bool]:
        """What is not final, and whether that is all of it."""


class Census:
    """Counts; threads share it.

    Args:
        services: told of in any case, so that none is taken for one that has nothing.
    """

    def __init__(
        self,
        source: Source,
        services: Iterable[str] = (),
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._services = list(services)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: Exact | None = None
        self._due_at = float("-inf")
        self._counting: threading.Thread | None = None

    def __call__(self) -> Counts:
        """What there is now, as far as that is known.

        Raises:
            StoreUnavailable: MongoDB did not answer.
        """
        if self._kept is None:
            self._count_if_due()
        if self._kept is not None and self._are_few(self._kept):
            self._kept = self._source.count_by_status()
            if _total(self._kept) <= EXACT:
                return self._kept
        self._count_if_due()
        found, is_all = self._source.count_open(OPEN_COUNTED)
        return joined({**{name: {} for name in self._services}, **found}, is_all, self._kept)

    def _are_few(self, kept: Exact) -> bool:
        return _total(kept) <= EXACT and self._source.estimated_count() <= AT_ONCE

    def _count_if_due(self) -> None:
        with self._lock:
            if self._counting is not None or self._monotonic() < self._due_at:
                return
            counting = threading.Thread(target=self._count, name="census", daemon=True)
            self._counting = counting
            counting.start()
        if self._kept is None:
            counting.join(PATIENCE_SECONDS)

    def _count(self) -> None:
        began = self._monotonic()
        try:
            self._kept = self._source.count_by_status()
        except AgentError as exc:
            log.warning("dashboard.not_counted", error=mask_secrets(str(exc)))
        finally:
            ended = self._monotonic()
            with self._lock:
                self._due_at = ended + max(EVERY_SECONDS, REST_FACTOR * (ended - began))
                self._counting = None


def _total(counts: Exact) -> int:
    return sum(sum(each.values()) for each in counts.values())


def joined(found: Exact, is_all: bool, kept: Exact | None) -> Counts:
    """What is open as it was found now, what is final as it was counted before.

    Args:
        is_all: whether all that is open was found; if not, it is told as it was counted before.
        kept: None before anything was counted.
    """
    before = kept or {}
    together: dict[str, dict[str, int | None]] = {}
    for service in {**found, **before}:
        counts: dict[str, int | None] = {
            status: About(count) for status, count in before.get(service, {}).items()
        }
        if is_all:
            counts |= dict.fromkeys(map(str, OPEN), 0) | found.get(service, {})
        elif kept is None:
            counts |= {status: About(each) for status, each in found.get(service, {}).items()}
        if kept is None:
            counts |= dict.fromkeys(("completed", "failed", "cancelled"))
        together[service] = counts
    return together
