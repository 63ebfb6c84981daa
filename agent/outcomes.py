"""What a reply of a Base service means, and when the next attempt is.

Pure: no I/O, and no clock but the `now` that is handed in. The table stands in docs/states.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from agent.errors import (
    CallError,
    Draining,
    OutcomeUnknown,
    ReplyTooLarge,
    RequestNotSendable,
    ServiceUnavailable,
    TlsFailed,
)
from agent.models import ErrorRecord
from agent.replies import (
    MAX_MESSAGE,
    Reply,
    json_object,
    message_of,
    parse_json,
    parse_retry_after,
    resolve_location,
    safe_text,
    status_url,
    work_id_of,
)
from agent.services import OnAmbiguous

__all__ = [
    "Kind",
    "Outcome",
    "Reply",
    "parse_json",
    "parse_retry_after",
    "poll_delay",
    "read_error",
    "read_poll",
    "read_reply",
    "retry_delay",
    "snooze_delay",
]

UNAUTHORIZED_PAUSE = timedelta(seconds=60)
MAX_ERROR_BODY = 64 * 1024
"""A larger body of an error is not searched for its message."""

UNFINISHED = frozenset(
    {"accepted", "pending", "queued", "processing", "running", "in_progress", "started"}
)
UNSUCCESSFUL = frozenset({"failed", "error", "cancelled", "canceled"})


SERVICE_AT_FAULT = frozenset(
    {"ServiceFailed", "ServiceUnavailable", "OutcomeUnknown", "UnreadableReply"}
)
"""Errors that are the service's own fault, by which the breaker counts."""


class Kind(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRY = "retry"
    SNOOZE = "snooze"
    ACCEPTED = "accepted"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to.

    Args:
        kind: what becomes of the context.
        results: the reply as it came, when completed.
        error: what went wrong; also beside a snooze, and a poll that has to be repeated.
        delay: until the next attempt or poll; None: the caller computes the back-off.
        remote_url: where accepted work is asked for; None after a poll: where it was.
        pause: the whole service pauses that long.
        definite: False: the service may have done the work, and we do not know.
    """

    kind: Kind
    results: Any = None
    error: ErrorRecord | None = None
    delay: timedelta | None = None
    remote_url: str | None = None
    pause: timedelta | None = None
    definite: bool = True


def completed(results: Any) -> Outcome:
    """The work is done."""
    return Outcome(Kind.COMPLETED, results=results)


def failed(error: ErrorRecord, *, definite: bool = True) -> Outcome:
    """Trying again, unchanged, cannot help."""
    return Outcome(
        Kind.FAILED, error=error.model_copy(update={"retryable": False}), definite=definite
    )


def retry(error: ErrorRecord, *, definite: bool = True) -> Outcome:
    """A failure that counts, and is tried again after the back-off."""
    return Outcome(
        Kind.RETRY, error=error.model_copy(update={"retryable": True}), definite=definite
    )


def ambiguous(error: ErrorRecord, on_ambiguous: OnAmbiguous) -> Outcome:
    """The request was sent and may have had its effect: again under the same key, or parked."""
    if on_ambiguous == "retry":
        return retry(error, definite=False)
    message = f"the work may have been done: {error.message}"
    return failed(
        error.model_copy(update={"type": "OutcomeUnknown", "message": message[:MAX_MESSAGE]}),
        definite=False,
    )


def snooze(
    error: ErrorRecord, delay: timedelta | None = None, pause: timedelta | None = None
) -> Outcome:
    """Not now; it never counts."""
    error = error.model_copy(update={"retryable": True})
    return Outcome(Kind.SNOOZE, error=error, delay=delay, pause=pause)


def accepted(
    remote_url: str | None = None,
    *,
    delay: timedelta | None = None,
    pause: timedelta | None = None,
    error: ErrorRecord | None = None,
) -> Outcome:
    """The service took the work, or has not finished it; it is asked later."""
    return Outcome(Kind.ACCEPTED, error=error, delay=delay, remote_url=remote_url, pause=pause)


def released() -> Outcome:
    """Shutdown came before anything was sent."""
    return Outcome(Kind.RELEASED)


def accepted_timeout() -> Outcome:
    """The service took the work and never finished it."""
    message = "the service accepted the work and did not finish it in time"
    return failed(ErrorRecord(type="AcceptedTimeout", message=message), definite=False)


# What a reply means


def read_reply(  # noqa: PLR0911 - one return for each row of the table
    reply: Reply, *, on_ambiguous: OnAmbiguous, now: datetime, base_url: str, status_path: str
) -> Outcome:
    """What the reply to a call means.

    Args:
        on_ambiguous: what to do where the work may have been done.
        now: the date that a `Retry-After` date is compared with.
        base_url: its origin is the only one where accepted work is asked for.
        status_path: where that is when there is no `Location`; `{id}` stands for the work's id.
    """
    status = reply.status_code
    after = _retry_after(reply, now)
    if 200 <= status < 300:
        return _read_success(reply, on_ambiguous, after, base_url, status_path)
    if status == 401:
        return snooze(_error(reply, "Unauthorized"), UNAUTHORIZED_PAUSE, UNAUTHORIZED_PAUSE)
    if status == 429:
        return snooze(_error(reply, "TooManyRequests"), after, after)
    if status == 503 and after is not None:
        return snooze(_error(reply, "ServiceFailed"), after, after)
    if status in (408, 425, 503):
        return retry(_error(reply, "ServiceFailed"))
    if 400 <= status < 500:
        return failed(_error(reply, "Forbidden" if status == 403 else "ServiceRejected"))
    if 300 <= status < 400:
        error = _error(reply, "UnexpectedRedirect")
        if on_ambiguous == "park":
            return ambiguous(error, on_ambiguous)
        return failed(error, definite=False)
    return ambiguous(_error(reply, "ServiceFailed"), on_ambiguous)


def _read_success(
    reply: Reply,
    on_ambiguous: OnAmbiguous,
    after: timedelta | None,
    base_url: str,
    status_path: str,
) -> Outcome:
    document = json_object(reply.body)
    if document is not None and document.get("success") is False:
        return _refused(reply, document)
    if reply.status_code == 202 and "location" in reply.headers:
        url = resolve_location(reply.headers["location"], base_url)
        if url is None:
            message = "accepted, but its Location is not on the origin of the service"
            error = ErrorRecord(type="UnexpectedRedirect", message=message, status_code=202)
            return failed(error, definite=False)
        return accepted(url, delay=after)
    if document is None:
        return ambiguous(_unreadable(reply), on_ambiguous)
    work_id = work_id_of(document)
    if work_id is not None:
        return accepted(status_url(base_url, status_path, work_id), delay=after)
    return completed(document)


def read_poll(reply: Reply, *, now: datetime) -> Outcome:
    """What the answer of a status URL means; never ambiguous, as asking changes nothing.

    A 401 is `ACCEPTED` with a pause, no snooze: the service has the work, and what it has taken
    must not be sent to it again.
    """
    status = reply.status_code
    after = _retry_after(reply, now)
    if 200 <= status < 300:
        return _read_progress(reply, after)
    if status == 401:
        error = _error(reply, "Unauthorized")
        return accepted(delay=UNAUTHORIZED_PAUSE, pause=UNAUTHORIZED_PAUSE, error=error)
    if status in (429, 503):
        kind = "TooManyRequests" if status == 429 else "ServiceFailed"
        return accepted(delay=after, pause=after, error=_error(reply, kind))
    if 300 <= status < 400:
        return failed(_error(reply, "UnexpectedRedirect"), definite=False)
    if 400 <= status < 500 and status not in (408, 425):
        error = _error(reply, "Forbidden" if status == 403 else "ServiceRejected")
        return failed(error, definite=False)
    return accepted(delay=after, error=_error(reply, "ServiceFailed"))


def _read_progress(reply: Reply, after: timedelta | None) -> Outcome:
    document = json_object(reply.body)
    word = document.get("status") if document is not None else None
    word = word.lower() if isinstance(word, str) else ""
    if document is not None and (document.get("success") is False or word in UNSUCCESSFUL):
        return _refused(reply, document)
    if reply.status_code == 202 or word in UNFINISHED:
        return accepted(delay=after)
    if document is None:
        return accepted(delay=after, error=_unreadable(reply))
    return completed(document)


def read_error(  # noqa: PLR0911 - one return for each row of the table
    error: CallError, *, on_ambiguous: OnAmbiguous, polling: bool = False
) -> Outcome:
    """What a call that brought no reply means."""
    record = ErrorRecord(type=type(error).__name__, message=safe_text(str(error)))
    match error:
        case Draining():
            return released()
        case RequestNotSendable():
            return failed(record, definite=not polling)
        case ReplyTooLarge():
            return failed(record, definite=False)
        case _ if polling:
            return accepted(error=record.model_copy(update={"retryable": True}))
        case TlsFailed():
            return failed(record)
        case ServiceUnavailable():
            return retry(record)
        case OutcomeUnknown():
            return ambiguous(record, on_ambiguous)
    return ambiguous(record, on_ambiguous) if error.retryable else failed(record, definite=False)


def _refused(reply: Reply, document: Mapping[str, Any]) -> Outcome:
    message = message_of(document) or "the service says that it failed"
    error = ErrorRecord(type="ServiceRefused", message=message, status_code=reply.status_code)
    return retry(error) if document.get("retryable") is True else failed(error)


def _unreadable(reply: Reply) -> ErrorRecord:
    message = "the reply does not parse as a JSON object"
    return ErrorRecord(type="UnreadableReply", message=message, status_code=reply.status_code)


def _retry_after(reply: Reply, now: datetime) -> timedelta | None:
    """The wait that a reply asks for; one of 0 s says as little as none, and our back-off rules."""
    return parse_retry_after(reply.headers.get("retry-after"), now) or None


def _error(reply: Reply, kind: str) -> ErrorRecord:
    document = json_object(reply.body) if len(reply.body) <= MAX_ERROR_BODY else None
    message = message_of(document) if document is not None else ""
    return ErrorRecord(
        type=kind,
        message=message or f"the service answered {reply.status_code}",
        status_code=reply.status_code,
    )


def without_secret(outcome: Outcome, secret: str) -> Outcome:
    """The outcome, its message rid of a secret that a service may have echoed."""
    if outcome.error is None or not secret or secret not in outcome.error.message:
        return outcome
    message = outcome.error.message.replace(secret, "…")
    return replace(outcome, error=outcome.error.model_copy(update={"message": message}))


# When the next attempt is


def retry_delay(failures: int, random: Callable[[], float]) -> timedelta:
    """The wait after a failure, `failures` others having come before: 2 s doubling to 10 min."""
    return _backoff(2.0 * 2.0 ** min(failures, 30), 600.0, random)


def snooze_delay(snoozes: int, random: Callable[[], float]) -> timedelta:
    """The wait after a snooze that named no time: 1 s doubling to 5 min."""
    return _backoff(2.0 ** min(snoozes, 30), 300.0, random)


def poll_delay(polls: int, random: Callable[[], float]) -> timedelta:
    """The wait before accepted work is asked for again: 0.5 s growing by half to 60 s."""
    return _backoff(0.5 * 1.5 ** min(polls, 60), 60.0, random)


def _backoff(seconds: float, most: float, random: Callable[[], float]) -> timedelta:
    """Half of it is jittered, so that what failed together does not come back together."""
    seconds = min(seconds, most)
    return timedelta(seconds=seconds / 2 + random() * seconds / 2)
