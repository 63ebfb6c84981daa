"""What `agent show` and `agent tail` tell of a context, line by line."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from agent.answers import state_answer
from agent.cli.following import Told
from agent.cli.show import _narrow
from agent.cli.tail import line_of
from agent.cli.timeline import Row, timeline
from agent.models import Document
from tests.factories import LONG_AGO, a_context

CREATED = Row(at="2024-05-01 12:00:00 UTC", what="created")
NOW = LONG_AGO + timedelta(minutes=5)


def after(seconds: float) -> datetime:
    return LONG_AGO + timedelta(seconds=seconds)


def an_attempt(number: int, began: float, ended: float, **fields: Any) -> Document:
    """A call that was made by `host:1`."""
    return {
        "number": number, "started_at": after(began), "finished_at": after(ended),
        "duration_ms": (ended - began) * 1000, "outcome": "retry", "worker": "host:1", **fields,
    }  # fmt: skip


def test_each_attempt_is_told_with_the_wait_before_it() -> None:
    """From its creation to its end."""
    refused = {"type": "ServiceFailed", "message": "no", "status_code": 503}
    document = a_context(
        status="completed", attempt=2, completed_at=NOW,
        attempts=[
            an_attempt(1, 0.5, 1.3, error=refused),
            an_attempt(2, 121.3, 123.3, outcome="completed"),
        ],
    )  # fmt: skip
    assert list(timeline(document, NOW)) == [
        CREATED,
        Row("1", "2024-05-01 12:00:00 UTC", "500 ms", "800 ms", "host:1", "retry",
            "ServiceFailed (503): no"),
        Row("2", "2024-05-01 12:02:01 UTC", "2 min", "2.0 s", "host:1", "completed"),
        Row(at="2024-05-01 12:05:00 UTC", what="completed"),
    ]  # fmt: skip


def test_what_is_no_longer_kept_is_counted() -> None:
    """How long the first one that is kept had waited is then not known."""
    document = a_context(status="failed", attempts=[an_attempt(3, 10, 11)], completed_at=NOW)
    _, gone, third, _ = timeline(document, NOW)
    assert gone == Row(what="2 calls", about="are no longer kept")
    assert (third.call, third.waited) == ("3", "")


@pytest.mark.parametrize(
    ("fields", "last"),
    [
        ({"status": "scheduled"}, Row(waited="5 min", what="scheduled")),
        (
            {"status": "scheduled", "attempts": [an_attempt(1, 0, 240)]},
            Row(waited="60 s", what="scheduled"),
        ),
        (
            {"status": "processing", "attempt": 2, "started_at": after(296),
             "processed_by": "host:2", "attempts": [an_attempt(1, 0, 1)]},
            Row("2", "2024-05-01 12:04:56 UTC", "5 min", "4.0 s", "host:2", "processing",
                "goes on"),
        ),
        ({"status": "processing", "kind": "parent"}, CREATED),
        ({"status": "cancelled"}, CREATED),
    ],
    ids=["waits", "waits again", "runs", "a parent", "another program's"],
)  # fmt: skip
def test_a_timeline_ends_with_what_is_now(fields: Document, last: Row) -> None:
    """A wait that goes on, or a call that runs."""
    assert list(timeline(a_context(**fields), NOW))[-1] == last


def test_a_timeline_stands_what_another_program_wrote() -> None:
    """Attempts that are none, and times that are no times."""
    document = {"attempts": ["no", {"started_at": "yesterday", "error": 5}], "status": 3}
    assert [row.what for row in timeline(document, NOW)] == ["created", "?", "3"]


@pytest.mark.parametrize(("about", "told"), [("", "by host:1"), ("X: no", "X: no")])
def test_a_narrow_terminal_has_no_column_for_workers(about: str, told: str) -> None:
    """A worker is named where there is nothing else to say."""
    assert _narrow(Row("1", "now", "2 s", "3 s", "host:1", "retry", about))[-1] == told


@pytest.mark.parametrize(
    ("state", "key", "line"),
    [
        ({"status": "pending", "service_type": "ANALYSIS"}, None, "c1  ANALYSIS  pending"),
        (
            {"status": "processing", "attempt": 2, "service_type": "ANALYSIS"},
            "draft",
            "draft  ANALYSIS  processing  call 2",
        ),
        (
            {"status": "scheduled", "wait_reason": "retry", "available_at": NOW, "attempt": 1},
            None,
            "c1  ?  scheduled  call 1, retry until 2024-05-01 12:05:00 UTC",
        ),
        (
            {"status": "failed", "error": {"type": "X", "message": "a\x1b\nb"}, "attempt": 1},
            None,
            "c1  ?  failed  call 1, X: a\\x1b\\nb",
        ),
        (
            {"kind": "parent", "status": "processing", "service_type": "BATCH",
             "results": {"progress": {"total": 5, "processed": 3, "failed": 1}}},
            None,
            "c1  BATCH  processing  3 of 5, 1 failed",
        ),
        ({"kind": "parent", "status": "processing"}, None, "c1  ?  processing"),
    ],
    ids=["new", "a step", "waits", "failed", "a batch", "not counted yet"],
)  # fmt: skip
def test_a_change_is_one_line(state: Document, key: str | None, line: str) -> None:
    """When, which, and what it is now; nothing that somebody wrote breaks it."""
    whole = {"_id": "c1", "updated_at": LONG_AGO, **state}
    said = line_of(Told(whole, state_answer(whole, key=key)))
    assert said == f"2024-05-01 12:00:00 UTC  {line}"
