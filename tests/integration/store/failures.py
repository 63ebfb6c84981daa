"""Contexts that failed, as the store's own writes leave them behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent.models import AttemptRecord, Document, ErrorRecord
from agent.store import changes
from agent.store.changes import Hold
from tests.factories import LONG_AGO, a_context

SECOND = timedelta(seconds=1)


def a_failure(
    error_type: str = "ServiceRejected", message: str = "no", *, second: int = 0, **overrides: Any
) -> Document:
    """A context that failed so many seconds after long ago."""
    document = a_context(attempt=1, **overrides)
    error = ErrorRecord(type=error_type, message=message, status_code=400)
    write = changes.fail(
        LONG_AGO + second * SECOND, Hold(document["_id"], 1, "t"), error=error,
        attempt=AttemptRecord(number=1, outcome="failed", error=error),
    )  # fmt: skip
    return {
        **document,
        **write.update["$set"],
        "attempts": write.update["$push"]["attempts"]["$each"],
    }
