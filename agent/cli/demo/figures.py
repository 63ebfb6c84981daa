"""The figures of the closing table. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from agent.models import Document, Status


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of the contexts of one service type.

    Args:
        retried: completed, but not by the first call.
        durations_ms: of every call.
    """

    name: str
    contexts: int
    completed: int
    retried: int
    failed: int
    cancelled: int
    durations_ms: Sequence[float]

    def percentile(self, share: float) -> float | None:
        """The duration that this share of the calls did not exceed; None without any call."""
        ordered = sorted(self.durations_ms)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def figures(name: str, documents: Sequence[Document]) -> Figures:
    """The figures of these contexts."""
    statuses = [document.get("status") for document in documents]
    return Figures(
        name=name,
        contexts=len(documents),
        completed=statuses.count(Status.COMPLETED),
        retried=sum(
            document.get("status") == Status.COMPLETED and document.get("attempt", 0) > 1
            for document in documents
        ),
        failed=statuses.count(Status.FAILED),
        cancelled=statuses.count(Status.CANCELLED),
        durations_ms=list(_durations(documents)),
    )


def _durations(documents: Iterable[Document]) -> Iterator[float]:
    for document in documents:
        for attempt in document.get("attempts") or []:
            took = attempt.get("duration_ms")
            if isinstance(took, int | float):
                yield took


def waits_by_priority(documents: Iterable[Document]) -> dict[int, float]:
    """For each priority the median of the seconds from the making of a context to its call."""
    waits: dict[int, list[float]] = {}
    for document in documents:
        attempts = document.get("attempts") or [{}]
        began, made = attempts[0].get("started_at"), document.get("created_at")
        if isinstance(began, datetime) and isinstance(made, datetime):
            waits.setdefault(document.get("priority", 0), []).append((began - made).total_seconds())
    return {priority: median(found) for priority, found in sorted(waits.items())}
