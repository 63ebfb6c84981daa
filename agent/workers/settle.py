"""What an outcome does to its context: the guarded write that follows from it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agent import outcomes
from agent.models import DEFAULT_MAX_ATTEMPTS, AttemptRecord, Document, ErrorRecord, WaitReason
from agent.outcomes import SERVICE_AT_FAULT, Kind, Outcome
from agent.store import changes
from agent.store.changes import Hold, Write
from agent.store.marks import left_by
from agent.store.retention import FOR_EVER, Retention

MAX_SNOOZES = 100
"""After so many in a row a snooze counts as a failure: nothing waits for ever."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One attempt that has ended: what was started, by whom, and how long the call took."""

    document: Document
    hold: Hold
    worker: str
    polls: bool
    seconds: float
    trace_id: str
    retention: Retention = FOR_EVER


def is_failing(outcome: Outcome) -> bool:
    """Whether the service itself failed."""
    return outcome.error is not None and outcome.error.type in SERVICE_AT_FAULT


def is_forbidden(outcome: Outcome) -> bool:
    """Whether the service answered 403."""
    return outcome.error is not None and outcome.error.status_code == 403


def weigh(outcome: Outcome, document: Document, *, refused_alone: bool) -> Outcome:
    """The outcome with what it means for this context: a snooze too many counts as a failure.

    Args:
        refused_alone: others of its service have succeeded since it was last refused.
    """
    if outcome.kind is not Kind.SNOOZE:
        return outcome
    snoozes = _count(document, "snoozes")
    if refused_alone and snoozes:
        return replace(outcome, kind=Kind.RETRY, pause=None)
    if snoozes + 1 >= MAX_SNOOZES:
        return replace(outcome, kind=Kind.RETRY)
    return outcome


def is_last(outcome: Outcome, document: Document) -> bool:
    """Whether a retry has no attempt left."""
    limit = _count(document, "max_attempts") or DEFAULT_MAX_ATTEMPTS
    return outcome.kind is Kind.RETRY and _count(document, "failures") + 1 >= limit


def write_of(outcome: Outcome, ran: Ran, now: datetime, random: Callable[[], float]) -> Write:
    """The one write that an outcome comes to; the end of a child leaves a mark."""
    write = _write_of(outcome, ran, now, random)
    is_end = outcome.kind in (Kind.COMPLETED, Kind.FAILED) or is_last(outcome, ran.document)
    if not is_end:
        return write
    write = left_by(ran.document, write, now, token=ran.hold.token)
    return ran.retention.kept(ran.document, write, now)


def _write_of(outcome: Outcome, ran: Ran, now: datetime, random: Callable[[], float]) -> Write:
    document, hold = ran.document, ran.hold
    attempt = record_of(outcome, ran, now)
    error = outcome.error or ErrorRecord(type="Unknown", message="no reason was given")
    match outcome.kind:
        case Kind.COMPLETED:
            return changes.complete(now, hold, results=outcome.results, attempt=attempt)
        case Kind.FAILED:
            return changes.fail(now, hold, error=error, attempt=attempt)
        case Kind.RETRY if is_last(outcome, document):
            last = error.model_copy(update={"retryable": False})
            return changes.fail(now, hold, error=last, attempt=attempt, counts=True)
        case Kind.RETRY | Kind.SNOOZE:
            return _later(outcome, ran, now, random, attempt)
        case Kind.ACCEPTED:
            return _poll_later(outcome, ran, now, random, attempt)
        case Kind.RELEASED:
            return changes.release(now, hold)


def _later(
    outcome: Outcome,
    ran: Ran,
    now: datetime,
    random: Callable[[], float],
    attempt: AttemptRecord,
) -> Write:
    if outcome.kind is Kind.RETRY:
        reason = WaitReason.RETRY
        delay = outcomes.retry_delay(_count(ran.document, "failures"), random)
        delay = max(delay, outcome.delay) if outcome.delay is not None else delay
    else:
        reason = WaitReason.SNOOZE
        delay = outcome.delay or outcomes.snooze_delay(_count(ran.document, "snoozes"), random)
    return changes.reschedule(
        now, ran.hold, available_at=now + delay, reason=reason, attempt=attempt
    )


def _poll_later(
    outcome: Outcome,
    ran: Ran,
    now: datetime,
    random: Callable[[], float],
    attempt: AttemptRecord,
) -> Write:
    """Accepted: keep where it is asked for. A poll that goes on leaves no attempt behind."""
    before = ran.document.get("remote")
    before = before if isinstance(before, dict) else {}
    polls = before.get("polls", 0) if isinstance(before.get("polls", 0), int) else 0
    since = before.get("accepted_at")
    remote: dict[str, Any] = {
        **before,
        "status_url": outcome.remote_url or before.get("status_url"),
        "accepted_at": since if isinstance(since, datetime) else now,
        "polls": polls + 1 if ran.polls else 0,
    }
    delay = outcome.delay or outcomes.poll_delay(polls, random)
    return changes.reschedule(
        now,
        ran.hold,
        available_at=now + delay,
        reason=WaitReason.POLL,
        attempt=None if ran.polls else attempt,
        remote=remote,
    )


def record_of(outcome: Outcome, ran: Ran, now: datetime) -> AttemptRecord:
    """What is kept of the attempt."""
    return AttemptRecord(
        number=_count(ran.document, "attempt"),
        fence=ran.hold.fence,
        started_at=ran.document.get("started_at"),
        finished_at=now,
        worker=ran.worker,
        outcome=str(outcome.kind),
        error=outcome.error,
        duration_ms=round(ran.seconds * 1000),
        trace_id=ran.trace_id,
        token=ran.hold.token,
        definite=outcome.definite,
    )


def _count(document: Document, name: str) -> int:
    value = document.get(name)
    return value if isinstance(value, int) else 0
