"""Cursors."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from bson import ObjectId

from agent.api.paging import cursor_after, read_cursor
from agent.errors import RequestInvalid

THEN = datetime(2026, 5, 1, 12, 0, 0, 123000, tzinfo=UTC)

LONG_AGO = {"$date": {"$numberLong": "0"}}


@pytest.mark.parametrize(
    "context_id", ["ctx_1", "é/\0", 17, ObjectId("6" * 24), UUID(int=7), {"a": 1}]
)
def test_a_cursor_is_read_as_it_was_written(context_id: Any) -> None:
    """Whatever kind of id it is."""
    assert read_cursor(cursor_after(THEN, context_id)) == (THEN, context_id)


def forged(*place: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "word",
    [
        "", "x", "é", "=", "!!!!", forged(), forged("a", "b"), forged(1, 2, 3),
        forged(LONG_AGO, {"$gt": ""}), forged(LONG_AGO, [1]),
        forged(LONG_AGO, {"$regularExpression": {"pattern": "", "options": ""}}),
    ],
)  # fmt: skip
def test_what_is_no_cursor_is_refused(word: str) -> None:
    """Nor does one that was forged bring an operator in."""
    with pytest.raises(RequestInvalid, match="cursor"):
        read_cursor(word)
