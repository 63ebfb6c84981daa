"""The minutes as far as contexts remember them: what Redis lost is read from these. Pure.

A context keeps its newest twenty attempts, and one that was begun anew no longer says that it had
failed: what comes out is about right, and told as such.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from agent.models import Document, Status
from agent.projections.minutes import MINUTE_SECONDS, WIDTH, count_in
from agent.projections.signals import CALLS

Rows = dict[tuple[str, int], list[int]]
"""By service type and minute of Redis's clock."""


def rows_of(documents: Iterable[Document], ahead_seconds: float) -> Rows:
    """What happened in each minute.

    Args:
        ahead_seconds: of Redis's clock, compared with MongoDB's.
    """
    rows: Rows = defaultdict(lambda: [0] * WIDTH)
    for document in documents:
        service, attempts = document.get("service_type"), document.get("attempts")
        if not isinstance(service, str) or document.get("kind", "context") != "context":
            continue
        status = document.get("status")
        if status in (Status.COMPLETED, Status.FAILED):
            minute = _minute(document.get("completed_at"), ahead_seconds)
            if minute is not None:
                count_in(rows[service, minute], str(status))
        attempts = attempts if isinstance(attempts, list) else []
        for place, attempt in enumerate(attempts):
            is_end = status == Status.FAILED and place == len(attempts) - 1
            _count_attempt(rows, service, attempt, ahead_seconds, is_end=is_end)
    return dict(rows)


def _count_attempt(
    rows: Rows, service: str, attempt: Any, ahead_seconds: float, *, is_end: bool
) -> None:
    if not isinstance(attempt, dict) or attempt.get("outcome") not in CALLS:
        return
    minute = _minute(attempt.get("finished_at"), ahead_seconds)
    took = attempt.get("duration_ms")
    if minute is None:
        return
    retried = attempt["outcome"] in ("retry", "snooze") and not is_end
    seconds = took / 1000 if isinstance(took, int | float) else 0.0
    count_in(rows[service, minute], *(["retried"] if retried else []), seconds=seconds)


def _minute(moment: Any, ahead_seconds: float) -> int | None:
    if not isinstance(moment, datetime):
        return None
    return int((moment.timestamp() + ahead_seconds) // MINUTE_SECONDS)
