"""What `show`, `list` and `status` make of what is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from agent.cli.listing import _note
from agent.cli.output import id_word
from agent.cli.show import MOST_RESULT_LINES, results_of
from agent.cli.status import Overview, Row, as_document, remarks
from agent.models import Document
from agent.store.services import Pause
from tests.factories import LONG_AGO

NOW = LONG_AGO + timedelta(minutes=5)
PAUSE = Pause("ANALYSIS", by="operator", reason="tests", since=LONG_AGO)


def a_row(**fields: Any) -> Row:
    """A service that is well."""
    return Row(
        **{"service": "ANALYSIS", "state": "open", "pause": None, "counts": {}, "oldest": None,
           "workers": 1, "threads": 64, **fields}
    )  # fmt: skip


def an_overview(*rows: Row, **fields: Any) -> Overview:
    """A system that is well."""
    leader = {"owner": "bridge:1", "since": LONG_AGO}
    return Overview(**{"now": NOW, "rows": list(rows), "leader": leader, "redis_error": None,
                       **fields})  # fmt: skip


def test_long_results_are_cut_and_say_so() -> None:
    """A terminal is no file."""
    lines = results_of({"results": {"numbers": list(range(100))}})
    assert len(lines) == MOST_RESULT_LINES + 1
    assert lines[-1] == "… and 64 more lines; --json has all of them"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"error": {"type": "Forbidden", "message": "no"}}, "Forbidden: no"),
        ({"status": "scheduled", "wait_reason": "retry", "available_at": NOW}, "retry, 0.0 s"),
        ({"status": "pending"}, "to be adopted"),
        ({"status": "pending", "fence": 0}, ""),
    ],
)
def test_what_a_list_says_beside_a_context(document: Document, expected: str) -> None:
    """Why it failed, or what it waits for."""
    assert _note(document, NOW) == expected


def test_an_id_can_be_given_back_to_a_command() -> None:
    """Strings and digits as they are, anything else as extended JSON."""
    digits = "6633a0f1c0ffee0000000017"
    assert [id_word("a b"), id_word(ObjectId(digits)), id_word(17), id_word({"a": 1})] == [
        "a b", digits, "17", '{"a": 1}',
    ]  # fmt: skip


def test_remarks_are_silent_about_what_is_well() -> None:
    """Only the leader is always told."""
    assert list(remarks(an_overview(a_row()))) == [
        "bridge: bridge:1 leads since 2024-05-01 12:00:00 UTC"
    ]


def test_remarks_name_what_keeps_work_from_being_done() -> None:
    """No leader, no Redis, a pause, no worker."""
    rows = [
        a_row(pause=PAUSE, state="paused"),
        a_row(service="GENERATIVE", workers=0, counts={"pending": 3}),
        a_row(service="COMMUNICATION", state="probing", pause=PAUSE),
    ]
    told = list(remarks(an_overview(*rows, leader=None, redis_error="Redis: gone")))
    assert told == [
        "bridge: none leads, so nothing starts except by workers that run alone",
        "redis: away (Redis: gone); which workers live is not known",
        "ANALYSIS: paused by operator until somebody resumes it (tests)",
        "GENERATIVE: no worker is alive for it",
        "COMMUNICATION: was paused by operator, one call finds out whether it is well (tests)",
    ]


def test_programs_get_the_same_overview() -> None:
    """What is not known is null."""
    row = a_row(counts={"queued": 1, "processing": 2}, workers=None, threads=None)
    document = as_document(an_overview(row, redis_error="gone"))
    assert row.in_flight == 3
    assert document["redis"] == {"ok": False, "error": "gone"}
    assert document["services"]["ANALYSIS"] == {
        "state": "open", "pause": None, "contexts": {"queued": 1, "processing": 2},
        "oldest_pending_at": None, "workers": None, "threads": None,
    }  # fmt: skip
