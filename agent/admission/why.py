"""Why a context is where it is, in one sentence for people. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.admission.gate import GateState, gate_state
from agent.models import BATCH, FINAL, PARENT, QUARANTINE_AFTER, Document, Status, WaitReason
from agent.replies import safe_text
from agent.store.services import Pause
from agent.words import moment, span

SOON = timedelta(seconds=2)
"""What is due for less than this needs no excuse."""
MOST_STEPS = 10


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides about a context beside itself.

    Args:
        now: by the database's clock.
        leads: whether a bridge leads.
        pause: of its service, if there is one.
        threads: of the living workers of its service; None while Redis is away.
        in_flight: calls of its service that are queued or processing.
        limit: how many of them it may have; None when it is no service that we know.
        steps: those that it comes after, or those of a parent, which are items of a batch: their
            keys and statuses.
    """

    now: datetime
    leads: bool
    pause: Pause | None
    threads: int | None
    in_flight: int
    limit: int | None
    steps: Sequence[tuple[str, str]] = ()


def why(document: Document, around: Surroundings) -> str:
    """Why this context is where it is."""
    explain = _WHY.get(str(document.get("status")))
    if explain is None:
        return f"its status {_quoted(document.get('status'))} is none that there is"
    return explain(document, around)


def _pending(document: Document, around: Surroundings) -> str:
    if not isinstance(document.get("fence"), int):
        return _with_bridge("another program inserted it, and it waits to be adopted", around)
    obstacle = next(_obstacles(document, around), None)
    if obstacle is not None:
        return obstacle
    since = around.now - _date(document.get("available_at"), around.now)
    if since <= SOON:
        return "it is due and about to start"
    return f"it has been due for {span(since)}, behind others of its service that go first"


def _obstacles(document: Document, around: Surroundings) -> Iterator[str]:
    """What keeps any context of its service from starting, the weightiest first."""
    service, calls = _service(document), around.in_flight
    if around.limit is None:
        yield f"{service} is no service type of this installation"
    if not around.leads and not calls:
        yield _with_bridge("it is due", around)
    if around.pause is not None:
        yield _paused(around.pause, around.now)
    if around.threads == 0 and not calls:
        yield f"no worker is alive for {service}"
    if around.limit is not None and calls >= around.limit:
        yield f"{calls} calls are in flight, as many as {service} may have at once"
    if around.threads and calls >= around.threads:
        yield f"all {around.threads} threads of the workers of {service} are busy"


def _paused(pause: Pause, now: datetime) -> str:
    name, reason = pause.service_type, safe_text(pause.reason)
    if gate_state(pause, now) is GateState.PROBING:
        return (
            f"{name} was paused by {pause.by} ({reason}); that is over, and one call finds out "
            "whether it is well again"
        )
    end = (
        f"until {moment(pause.until)}"
        if pause.until is not None
        else f"until somebody resumes it (agent resume {name})"
    )
    return f"{name} is paused by {pause.by} since {moment(pause.since)}, {end}: {reason}"


def _with_bridge(what: str, around: Surroundings) -> str:
    if around.leads:
        return what
    return f"{what}, but no bridge leads, so nothing starts except by workers that run alone"


def _scheduled(document: Document, around: Surroundings) -> str:
    due = document.get("available_at")
    at = f"until {moment(due)}"
    reason = _WAITS.get(str(document.get("wait_reason")), _waits)(document, at)
    if isinstance(due, datetime) and around.now - _date(due, around.now) > SOON:
        return _with_bridge(f"{reason}; that time has come, and it is to become pending", around)
    if around.pause is not None and gate_state(around.pause, around.now) is GateState.PAUSED:
        return f"{reason}; {_paused(around.pause, around.now)}"
    return reason


def _waits(_document: Document, at: str) -> str:
    return f"it waits {at}"


def _delayed(_document: Document, at: str) -> str:
    return f"it waits {at}, as it was asked to"


def _retried(document: Document, at: str) -> str:
    failures, most = document.get("failures", 0), document.get("max_attempts", 0)
    if failures == 0 and document.get("generation"):
        last = _last_error(document)
        return f"it was begun anew, and waits {at} for its turn{last}"
    return f"it waits {at} after failure {failures} of {most} at most{_last_error(document)}"


def _snoozed(document: Document, at: str) -> str:
    return f"it waits {at}, which does not count as a failure{_last_error(document)}"


def _polled(document: Document, at: str) -> str:
    remote = document.get("remote")
    since = remote.get("accepted_at") if isinstance(remote, Mapping) else None
    return (
        f"{_service(document)} has accepted it at {moment(since)} and not finished it; "
        f"it waits {at} to be asked for again"
    )


def _crashed(document: Document, at: str) -> str:
    crashes = document.get("crashes", 0)
    times = "once" if crashes == 1 else f"{crashes} times in a row"
    own = (
        ", then it runs in a process of its own"
        if isinstance(crashes, int) and crashes >= QUARANTINE_AFTER
        else ""
    )
    return f"its worker vanished {times}; it waits {at}{own}"


def _last_error(document: Document) -> str:
    attempts = document.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else None
    error = last.get("error") if isinstance(last, Mapping) else None
    return f": {_error(error)}" if isinstance(error, Mapping) else ""


def _queued(document: Document, around: Surroundings) -> str:
    end = _lease_end(document)
    if end is None or end <= around.now:
        return _with_bridge("it was claimed, and its lease ran out: it is to be taken back", around)
    if around.threads == 0:
        return (
            f"it was claimed, but no worker is alive for {_service(document)}; "
            f"unless one comes it is pending again at {moment(end)}"
        )
    waited = around.now - _date(document.get("updated_at"), around.now)
    return f"it was claimed {span(waited)} ago and waits for a thread of a worker"


def _processing(document: Document, around: Surroundings) -> str:
    if document.get("kind") == PARENT:
        return _open(document, around)
    lease = document.get("lease")
    worker = _quoted(lease.get("owner") if isinstance(lease, Mapping) else None)
    end = _lease_end(document)
    if end is None or end <= around.now:
        return _with_bridge(
            f"worker {worker} has not renewed its lease, which ran out at {moment(end)}: "
            "it is to be taken back",
            around,
        )
    doing = "being asked for" if document.get("remote") else "in flight"
    return f"it is {doing} at worker {worker} since {moment(document.get('started_at'))}"


def _open(document: Document, around: Surroundings) -> str:
    """Why a parent is not final."""
    if document.get("cancelling"):
        return "it is being cancelled"
    parts = "items" if document.get("service_type") == BATCH else "steps"
    open_ = _named((key, status) for key, status in around.steps if status not in FINAL)
    return f"its {parts} are not all final{f': {open_}' if open_ else ''}"


def _waiting(_document: Document, around: Surroundings) -> str:
    before = _named(each for each in around.steps if each[1] != Status.COMPLETED)
    if around.steps and not before:
        return _with_bridge(
            "the steps before it are completed, and it is to become pending", around
        )
    said = "the steps before it are not all completed"
    return f"{said}: {before}" if before else said


def _named(steps: Iterable[tuple[str, str]]) -> str:
    named = [f"{_quoted(key)} is {_quoted(status)}" for key, status in steps]
    more = len(named) - MOST_STEPS
    return ", ".join(named[:MOST_STEPS]) + (f" and {more} more" if more > 0 else "")


def _completed(document: Document, _around: Surroundings) -> str:
    worker = document.get("processed_by")
    by = f" by worker {_quoted(worker)}" if worker else ""
    calls = document.get("attempt")
    return f"it was completed at {moment(document.get('completed_at'))}{by}, at call {calls}"


def _failed(document: Document, _around: Surroundings) -> str:
    error = document.get("error")
    said = f": {_error(error)}" if isinstance(error, Mapping) else ""
    return f"it failed at {moment(document.get('completed_at'))}{said}"


def _cancelled(document: Document, around: Surroundings) -> str:
    said = f"it was cancelled at {moment(document.get('completed_at'))}"
    if document.get("cancelled_by") != "settle":
        return said
    before = _named(each for each in around.steps if each[1] in (Status.FAILED, Status.CANCELLED))
    return f"{said}, since a step before it was not completed" + (f": {before}" if before else "")


_WHY: Mapping[str, Callable[[Document, Surroundings], str]] = {
    Status.PENDING: _pending,
    Status.SCHEDULED: _scheduled,
    Status.QUEUED: _queued,
    Status.PROCESSING: _processing,
    Status.WAITING: _waiting,
    Status.COMPLETED: _completed,
    Status.FAILED: _failed,
    Status.CANCELLED: _cancelled,
}

_WAITS: Mapping[str, Callable[[Document, str], str]] = {
    WaitReason.DELAY: _delayed,
    WaitReason.RETRY: _retried,
    WaitReason.SNOOZE: _snoozed,
    WaitReason.POLL: _polled,
    WaitReason.CRASH: _crashed,
}


def _service(document: Document) -> str:
    return safe_text(str(document.get("service_type")))


def _quoted(value: Any) -> str:
    return safe_text(str(value))


def _error(error: Mapping[str, Any]) -> str:
    return f"{_quoted(error.get('type'))}, {_quoted(error.get('message'))}"


def _lease_end(document: Document) -> datetime | None:
    lease = document.get("lease")
    end = lease.get("expires_at") if isinstance(lease, Mapping) else None
    return end if isinstance(end, datetime) else None


def _date(value: Any, default: datetime) -> datetime:
    return value if isinstance(value, datetime) else default
