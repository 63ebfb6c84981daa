"""Rules about what failed or was cancelled: as planned, and for a reason that there is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from agent.models import DEFAULT_MAX_ATTEMPTS, MAX_CRASHES, QUARANTINE_AFTER, Document
from tests.checker.changes import CLOCK_ERROR
from tests.checker.events import count
from tests.checker.history import Life

PERMANENT = frozenset({
    "Forbidden", "ReplyTooLarge", "RequestNotSendable", "ResultNotStorable", "ServiceRefused",
    "ServiceRejected", "TlsFailed", "UnexpectedRedirect",
})  # fmt: skip
"""What needs no second attempt: another one would end the same way."""


def ends_as_planned(life: Life) -> Iterator[str]:
    """Nothing fails or is cancelled but what was meant to, or might."""
    document, plan = life.document or {}, life.plan
    status, error = document.get("status"), _error(document).get("type")
    meant = plan.must_fail_with(life.key)
    if status == "failed" and error not in plan.may_fail_with(life.key):
        possible = " or ".join(sorted(plan.may_fail_with(life.key))) or None
        yield f"failed with {error}, planned was {possible}"
    if status == "completed" and meant:
        yield f"completed, planned was {' or '.join(sorted(meant))}"
    if status == "cancelled" and not plan.was("cancelled", life.key):
        yield "was cancelled, and nobody had asked"


def begins_anew_as_planned(life: Life) -> Iterator[str]:
    """Nothing has a second generation but what an operator retried."""
    generation = count(life.document, "generation")
    if generation and not life.plan.was("retried", life.key):
        yield f"is in generation {generation}, and nobody had asked"


def fails_for_a_reason(life: Life) -> Iterator[str]:
    """By something that no attempt can mend, or because a limit was reached; each time."""
    failures = [
        step.after
        for step in life.steps
        if step.event.fields.get("status") == "failed" and not step.is_foreign and step.is_whole
    ]
    last = life.document or {}
    if last.get("status") == "failed" and not failures:
        failures = [last]
    for failed in failures:
        if sentence := _what_is_wrong(failed, life):
            yield f"failed with {_error(failed).get('type')}, but {sentence}"


def fails_by_a_reply_that_was_served(life: Life) -> Iterator[str]:
    """The status that a failure names is that of a reply to this very context."""
    document = life.document or {}
    status = _error(document).get("status_code")
    if document.get("status") != "failed" or status is None or not life.is_recorded:
        return
    if status not in [call.get("status") for call in life.calls]:
        yield f"failed by a reply {status} that was never served to it"


def _what_is_wrong(failed: Document, life: Life) -> str | None:
    """Why a context cannot have failed like this; None when it can."""
    kind = str(_error(failed).get("type"))
    if _is_used_up(failed) or kind in PERMANENT or kind in life.plan.permanent:
        return None
    match kind:
        case "OutcomeUnknown":
            parks = failed.get("service_type") in life.plan.parks
            return None if parks else "its service does not park"
        case "DeadlineExceeded":
            return None if _is_overdue(failed) else "its deadline had not passed"
        case "PoisonContext":
            return None if _killed(failed, life) else "it had not killed its workers"
        case "AcceptedTimeout":
            accepted = any(each.get("outcome") == "accepted" for each in life.attempts)
            return None if accepted else "it was never accepted"
        case "ContextUnreadable":
            return None if _was_unreadable(failed, life) else "it could be read"
    return f"it had {count(failed, 'failures') or 0} failures of {_limit(failed)}"


def _is_used_up(failed: Document) -> bool:
    return (count(failed, "failures") or 0) >= _limit(failed)


def _limit(document: Document) -> int:
    return count(document, "max_attempts") or DEFAULT_MAX_ATTEMPTS


def _is_overdue(failed: Document) -> bool:
    deadline, ended = failed.get("deadline_at"), failed.get("completed_at")
    if not isinstance(deadline, datetime) or not isinstance(ended, datetime):
        return False
    return deadline <= ended + CLOCK_ERROR


def _killed(failed: Document, life: Life) -> bool:
    """Whether it reached the limit, or lost so many workers that it was in quarantine."""
    lost = sum(each.get("outcome") == "lost" for each in life.attempts)
    return (count(failed, "crashes") or 0) >= MAX_CRASHES or lost >= QUARANTINE_AFTER


def _was_unreadable(failed: Document, life: Life) -> bool:
    """Whether it was never adopted, or a worker could not decode it."""
    found = any(_error(each).get("type") == "ContextUnreadable" for each in life.attempts)
    return count(failed, "fence") is None or found


def _error(document: Document) -> Document:
    error = document.get("error")
    return error if isinstance(error, dict) else {}
