"""The minutes as far as contexts remember them: what Redis lost is read from these. Pure.

A context keeps its newest twenty attempts, and one that was begun anew no longer says that it had
failed: what comes out is about right, and told as such.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from agent.models import Document, Status
from agent.projections.minutes import MINUTE_SECONDS, WIDTH, count_in
from agent.projections.reply_words import reply_word
from agent.projections.signals import CALLS

Rows = dict[tuple[str, int], list[int]]
"""By service type and minute of Redis's clock."""
Replies = dict[tuple[str, int], Counter[str]]
"""Likewise, by word."""


def rows_of(documents: Iterable[Document], ahead_seconds: float) -> Rows:
    """What happened in each minute.

    Args:
        ahead_seconds: of Redis's clock, compared with MongoDB's.
    """
    rows: Rows = defaultdict(lambda: [0] * WIDTH)
    for service, document in _of_services(documents):
        status, attempts = document.get("status"), _attempts(document)
        if status in (Status.COMPLETED, Status.FAILED):
            minute = _minute(document.get("completed_at"), ahead_seconds)
            if minute is not None:
                count_in(rows[service, minute], str(status))
        for place, attempt in enumerate(attempts):
            is_end = status == Status.FAILED and place == len(attempts) - 1
            _count_attempt(rows, service, attempt, ahead_seconds, is_end=is_end)
    return dict(rows)


def replies_of(documents: Iterable[Document], ahead_seconds: float) -> Replies:
    """How the calls of each minute were answered; `ahead_seconds` as in `rows_of`."""
    replies: Replies = defaultdict(Counter)
    for service, document in _of_services(documents):
        for attempt in _attempts(document):
            minute = _minute_of_call(attempt, ahead_seconds)
            if minute is not None:
                replies[service, minute][reply_word(attempt)] += 1
    return dict(replies)


def _of_services(documents: Iterable[Document]) -> Iterator[tuple[str, Document]]:
    """Those that are no parents, with their service."""
    for document in documents:
        service = document.get("service_type")
        if isinstance(service, str) and document.get("kind", "context") == "context":
            yield service, document


def _attempts(document: Document) -> list[Any]:
    attempts = document.get("attempts")
    return attempts if isinstance(attempts, list) else []


def _count_attempt(
    rows: Rows, service: str, attempt: Any, ahead_seconds: float, *, is_end: bool
) -> None:
    minute = _minute_of_call(attempt, ahead_seconds)
    if minute is None:
        return
    took = attempt.get("duration_ms")
    retried = attempt["outcome"] in ("retry", "snooze") and not is_end
    seconds = took / 1000 if isinstance(took, int | float) else 0.0
    count_in(rows[service, minute], *(["retried"] if retried else []), seconds=seconds)


def _minute_of_call(attempt: Any, ahead_seconds: float) -> int | None:
    """When the call of an attempt ended; None where it was none, or that is not known."""
    outcome = attempt.get("outcome") if isinstance(attempt, dict) else None
    if not isinstance(outcome, str) or outcome not in CALLS:
        return None
    return _minute(attempt.get("finished_at"), ahead_seconds)


def _minute(moment: Any, ahead_seconds: float) -> int | None:
    if not isinstance(moment, datetime):
        return None
    return int((moment.timestamp() + ahead_seconds) // MINUTE_SECONDS)
