"""What a schedule may say, and what becomes of a due time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.errors import RequestInvalid
from agent.intake.cron import Interval
from agent.intake.schedule import (
    CatchUp,
    decide,
    document_of,
    fired_id,
    next_times,
    read_schedule,
    rule_of,
)

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
MINUTELY = Interval(MINUTE, NOW - timedelta(days=1))


def a_schedule(**fields: Any) -> dict[str, Any]:
    """The body of one that is right, but for what a test says."""
    body = {"name": "s", "request": {"template_id": "t"}, "every_seconds": 60, **fields}
    return {name: value for name, value in body.items() if value is not None}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": ""}, "`name`"),
        ({"name": "a b"}, "`name`"),
        ({"name": "x" * 101}, "`name`"),
        ({"name": {"$gt": ""}}, "`name`"),
        ({"request": None}, "`request`"),
        ({"request": []}, "`request`"),
        ({"cron": "* * * * *"}, "one of them"),
        ({"every_seconds": None}, "one of them"),
        ({"every_seconds": 0.5}, "`every_seconds`"),
        ({"every_seconds": "60"}, "`every_seconds`"),
        ({"every_seconds": float("nan")}, "`every_seconds`"),
        ({"every_seconds": float("inf")}, "`every_seconds`"),
        ({"every_seconds": 1e12}, "`every_seconds`"),
        ({"timezone": "Europe/Berlin"}, "`timezone`"),
        ({"every_seconds": None, "cron": "* * * * *", "start_at": "2027-01-01"}, "`start_at`"),
        ({"catch_up": "some"}, "`catch_up`"),
        ({"paused": 1}, "`paused`"),
        ({"next_at": "2027-01-01"}, "`next_at`"),
    ],
)
def test_a_schedule_that_is_wrong_says_where(fields: dict[str, Any], problem: str) -> None:
    """The field, or what is missing."""
    with pytest.raises(RequestInvalid, match=problem):
        read_schedule(a_schedule(**fields))


def test_an_interval_comes_first_after_so_long_or_at_its_start() -> None:
    """A start that has been only says from when it is counted."""
    firsts = [
        document_of(read_schedule(a_schedule(start_at=start)), NOW)["next_at"]
        for start in (None, "2027-03-01T13:00:00Z", "2027-03-01T11:59:10Z")
    ]
    assert firsts == [NOW + MINUTE, NOW + 60 * MINUTE, NOW + 10 * SECOND]


@pytest.mark.parametrize(
    ("request_", "problem"),
    [({"template_id": "t", "data": {"x": "y" * 2_000_000}}, "larger"), ({"x": "\ud800"}, "stored")],
)
def test_a_request_that_cannot_be_kept_is_refused(request_: Any, problem: str) -> None:
    """It is too large, or has a value that BSON does not have."""
    with pytest.raises(RequestInvalid, match=problem):
        document_of(read_schedule(a_schedule(request=request_)), NOW)


def test_a_line_that_is_never_due_is_refused() -> None:
    """Rather than stored, and never heard of again."""
    with pytest.raises(RequestInvalid, match="is never due"):
        document_of(read_schedule(a_schedule(every_seconds=None, cron="0 0 */40 2 mon#5")), NOW)


@pytest.mark.parametrize(
    ("catch_up", "late", "fires", "next_"),
    [
        (CatchUp.ALL, 0.5, True, MINUTE),
        (CatchUp.ALL, 6000.0, True, MINUTE),
        (CatchUp.ONE, 0.5, True, MINUTE),
        (CatchUp.ONE, 6010.0, True, 101 * MINUTE),
        (CatchUp.NONE, 0.5, True, MINUTE),
        (CatchUp.NONE, 59.0, True, MINUTE),
        (CatchUp.NONE, 6010.0, False, 100 * MINUTE),
    ],
)
def test_what_was_missed_is_caught_up_as_it_says(
    catch_up: CatchUp, late: float, fires: bool, next_: timedelta
) -> None:
    """All of it, once, or not at all; what is a minute late at most was not missed."""
    due = NOW
    decision = decide(MINUTELY, due, due + timedelta(seconds=late), catch_up)
    assert (decision.fires, decision.next_at) == (fires, due + next_)


def test_two_that_look_at_different_times_come_to_one_id() -> None:
    """It is given by the due time that is stored, not by when it is looked at."""
    assert fired_id("s", NOW + timedelta(milliseconds=7)) == "sch_s@20270301T120000.007Z"


def test_next_times_go_on_from_the_one_that_is_stored() -> None:
    """Of one that is paused from now."""
    stored = document_of(read_schedule(a_schedule()), NOW)
    later = NOW + timedelta(seconds=150)
    assert next_times(stored, later, 2) == [NOW + MINUTE, NOW + 2 * MINUTE]
    assert next_times({**stored, "paused": True}, later, 2) == [NOW + 3 * MINUTE, NOW + 4 * MINUTE]


@pytest.mark.parametrize("wrong", [{}, {"cron": 7}, {"every_seconds": 0}, {"every_seconds": "x"}])
def test_a_stored_schedule_of_another_program_may_be_unreadable(wrong: dict[str, Any]) -> None:
    """That is an error of ours, which stops nobody."""
    with pytest.raises(RequestInvalid):
        rule_of({"timezone": "UTC", "start_at": NOW, **wrong})
