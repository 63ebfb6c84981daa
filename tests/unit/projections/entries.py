"""Contexts for tests of the views: what waits to be tried again, and what failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from agent.models import Document
from agent.projections.entries import Entry, dead_entry, retry_entry
from agent.store.ejson import id_word
from tests.factories import a_context, a_template

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ERROR = {
    "type": "ServiceUnavailable", "message": "answered 503", "status_code": 503,
    "fingerprint": "19872f5ae61e",
}  # fmt: skip


def waiting(context_id: Any = "ctx_1", seconds: float = 10.0, **fields: Any) -> Document:
    """A context that is tried again in so many seconds."""
    template = fields.pop("template_id", "greeting")
    error = {**ERROR, **fields.pop("error", {})}
    document = a_context(
        **{
            "status": "scheduled",
            "wait_reason": "retry",
            "available_at": NOW + seconds * SECOND,
            "attempt": 1,
            "failures": 1,
            "attempts": [{"number": 1, "outcome": "retry", "finished_at": NOW, "error": error}],
            **fields,
        }
    )
    document["template"] = a_template(id=template)
    return {**document, "_id": context_id}


def failed(context_id: Any = "ctx_1", seconds: float = 10.0, **fields: Any) -> Document:
    """A context that failed so many seconds ago."""
    error = {**ERROR, **fields.pop("error", {})}
    document = a_context(
        **{"status": "failed", "completed_at": NOW - seconds * SECOND, "attempt": 1, **fields}
    )
    return {**document, "_id": context_id, "error": error}


def retry(context_id: Any = "ctx_1", seconds: float = 10.0, **fields: Any) -> Entry:
    """The entry of such a one."""
    entry = retry_entry(waiting(context_id, seconds, **fields), id_word(context_id))
    assert entry is not None
    return entry


def dead(context_id: Any = "ctx_1", seconds: float = 10.0, **fields: Any) -> Entry:
    """The entry of such a one."""
    entry = dead_entry(failed(context_id, seconds, **fields), id_word(context_id))
    assert entry is not None
    return entry
