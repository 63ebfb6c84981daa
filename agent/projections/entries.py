"""What the views of retries and dead letters say of one context. Pure.

An entry is made from the context's document, by the worker that wrote it or by the bridge that read
it, and both come to the same text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.models import Document, Status, WaitReason, context_key
from agent.words import shortened

REASONS = (WaitReason.RETRY, WaitReason.SNOOZE, WaitReason.CRASH)
"""Why a context is to be tried again; the other scheduled ones wait for a time, or for a service
that works at them."""

LONGEST_MESSAGE = 200
LONGEST_WORD = 100
MOST_TAGS = 10

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One context in a view.

    Args:
        key: its id as text, by which it stands in the view.
        word: its id as commands and paths take it: extended JSON where it is no string.
        at: when it is tried again; of a dead letter, when it failed.
        attempt: calls started.
        failures: those that count against `max_attempts`.
        kind: the fingerprint of the error.
        reason: why it is tried again; None of a dead letter.
        tags: `name=value`, or the words of a list.
        since: when its last attempt ended.
    """

    key: str
    word: str
    at: datetime
    service_type: str
    attempt: int
    failures: int
    max_attempts: int
    error_type: str | None
    kind: str | None
    message: str | None
    status_code: int | None
    reason: str | None
    template_id: str | None
    tags: tuple[str, ...]
    since: datetime | None

    @property
    def score(self) -> str:
        """Its place in the sorted set: seconds since 1970, to the millisecond as MongoDB has it."""
        return f"{_milliseconds(self.at) / 1000:.3f}"

    def to_info(self) -> str:
        """All but the time, as compact JSON in one line of ASCII."""
        told = {
            "key": self.key,
            "id": None if self.word == self.key else self.word,
            "service": self.service_type,
            "attempt": self.attempt,
            "failures": self.failures,
            "max": self.max_attempts,
            "type": self.error_type,
            "kind": self.kind,
            "message": self.message,
            "status": self.status_code,
            "reason": self.reason,
            "template": self.template_id,
            "tags": self.tags or None,
            "since": None if self.since is None else _milliseconds(self.since),
        }
        return json.dumps({k: v for k, v in told.items() if v is not None}, separators=(",", ":"))

    @classmethod
    def of_info(cls, score: float, told: Mapping[str, Any]) -> Entry:
        """The entry that was written; what another version left out is not known."""
        since = told.get("since")
        return cls(
            key=told["key"],
            word=told.get("id", told["key"]),
            at=_moment(round(score * 1000)),
            service_type=told["service"],
            attempt=told["attempt"],
            failures=told.get("failures", 0),
            max_attempts=told.get("max", 0),
            error_type=told.get("type"),
            kind=told.get("kind"),
            message=told.get("message"),
            status_code=told.get("status"),
            reason=told.get("reason"),
            template_id=told.get("template"),
            tags=tuple(told.get("tags", ())),
            since=_moment(since) if isinstance(since, int) else None,
        )


def retry_entry(document: Document, word: str) -> Entry | None:
    """What the view of retries says of a context; None if it is not to be tried again."""
    reason = document.get("wait_reason")
    if document.get("status") != Status.SCHEDULED or reason not in REASONS:
        return None
    last = _last_attempt(document)
    return _entry(
        document, word, at=document.get("available_at"), error=last.get("error"),
        since=last.get("finished_at"), reason=reason,
    )  # fmt: skip


def dead_entry(document: Document, word: str) -> Entry | None:
    """What the view of dead letters says of a context; None if it has not failed."""
    if document.get("status") != Status.FAILED or document.get("kind", "context") != "context":
        return None
    failed_at = document.get("completed_at")
    return _entry(document, word, at=failed_at, error=document.get("error"), since=failed_at)


def _entry(
    document: Document, word: str, *, at: Any, error: Any, since: Any, reason: str | None = None
) -> Entry | None:
    """What other programs wrote may be of any type; without a time it has no place in a view."""
    if not isinstance(at, datetime):
        return None
    error = error if isinstance(error, dict) else {}
    template = document.get("template")
    return Entry(
        key=context_key(document["_id"]),
        word=word,
        at=at,
        service_type=_text(document.get("service_type")) or "?",
        attempt=_number(document.get("attempt")) or 0,
        failures=_number(document.get("failures")) or 0,
        max_attempts=_number(document.get("max_attempts")) or 0,
        error_type=_text(error.get("type")),
        kind=_text(error.get("fingerprint")),
        message=_text(error.get("message"), LONGEST_MESSAGE),
        status_code=_number(error.get("status_code")),
        reason=None if reason is None else str(reason),
        template_id=_text(template.get("id")) if isinstance(template, dict) else None,
        tags=_tags(document.get("tags")),
        since=since if isinstance(since, datetime) else None,
    )


def _last_attempt(document: Document) -> Document:
    attempts = document.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else None
    return last if isinstance(last, dict) else {}


def _tags(tags: Any) -> tuple[str, ...]:
    words: list[str] = []
    if isinstance(tags, dict):
        words = [f"{name}={value}" for name, value in tags.items() if isinstance(value, str)]
    elif isinstance(tags, list):
        words = [word for word in tags if isinstance(word, str)]
    return tuple(shortened(word, LONGEST_WORD) for word in words[:MOST_TAGS])


def _text(value: Any, longest: int = LONGEST_WORD) -> str | None:
    return shortened(value, longest) if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def _moment(milliseconds: int) -> datetime:
    return EPOCH + milliseconds * MILLISECOND
