"""Rules about the documents as they are in the end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from agent.models import DEFAULT_MAX_ATTEMPTS, FINAL, MAX_CRASHES, Document
from tests.checker.history import Life


def is_there(life: Life) -> Iterator[str]:
    """What was acknowledged is never lost."""
    if life.document is None and not life.plan.was("gone", life.key):
        yield "is lost"


def is_final(life: Life) -> Iterator[str]:
    """Every context ends."""
    status = (life.document or {}).get("status")
    if life.document and status not in FINAL and not life.plan.was("unfinished", life.key):
        yield f"is {status}, not final"


def holds_nothing(life: Life) -> Iterator[str]:
    """What is final has no lease and waits for no service."""
    document = life.document or {}
    if document.get("lease"):
        yield "still has a lease"
    if document.get("status") in FINAL and document.get("remote"):
        yield "is final and still has accepted work"


def says_how_it_ended(life: Life) -> Iterator[str]:
    """A completed one has its result, a failed one its reason, and both have their time."""
    document = life.document or {}
    status = document.get("status")
    if status == "completed":
        yield from _lacks(document, "results", "completed_at", "processed_by")
        if document.get("error"):
            yield "is completed and has an error"
    elif status == "failed":
        yield from _lacks(document, "error", "completed_at")
    elif status == "cancelled":
        yield from _lacks(document, "completed_at")


def keeps_its_attempts_in_order(life: Life) -> Iterator[str]:
    """The fence rises from attempt to attempt, and so does its number, but for polls of what was
    accepted."""
    for earlier, later in pairwise(life.attempts):
        if not _rises(earlier.get("fence"), later.get("fence")):
            yield "the fence of its attempts does not rise"
        polled = any(
            each.get("outcome") == "accepted" and each.get("number") == later.get("number")
            for each in life.attempts
        )
        same = earlier.get("number") == later.get("number")
        if not _rises(earlier.get("number"), later.get("number")) and not (same and polled):
            yield "the number of its attempts does not rise"


def counts_its_attempts(life: Life) -> Iterator[str]:
    """No attempt is beyond what the document counts, and none was made without a claim."""
    document = life.document or {}
    attempt, fence = _count(document, "attempt"), _count(document, "fence")
    for each in life.attempts[-1:]:
        if _count(each, "number") > attempt:
            yield "the number of its last attempt is beyond its own"
        if _count(each, "fence") > fence:
            yield "the fence of its last attempt is beyond its own"
    if attempt > fence:
        yield f"had {attempt} attempts with {fence} claims"


def completed_once(life: Life) -> Iterator[str]:
    """Exactly one attempt completed what is completed, and none what is not."""
    document = life.document
    if document is None:
        return
    count = sum(each.get("outcome") == "completed" for each in life.attempts)
    wanted = 1 if document.get("status") == "completed" else 0
    if count != wanted:
        yield f"is {document.get('status')} with {count} attempts that completed it"


def stays_within_its_limits(life: Life) -> Iterator[str]:
    """It neither fails nor kills its workers more often than it may."""
    document = life.document or {}
    limit = _count(document, "max_attempts") or DEFAULT_MAX_ATTEMPTS
    if _count(document, "failures") > limit:
        yield f"has {_count(document, 'failures')} failures of {limit}"
    if _count(document, "crashes") > MAX_CRASHES:
        yield f"has {_count(document, 'crashes')} crashes of {MAX_CRASHES}"


def _lacks(document: Document, *names: str) -> Iterator[str]:
    for name in names:
        if document.get(name) is None:
            yield f"is {document['status']} without {name}"


def _count(document: Document, name: str) -> int:
    value = document.get(name)
    return value if isinstance(value, int) else 0


def _rises(first: Any, second: Any) -> bool:
    return first is None or second is None or first < second
