"""What is said of a change of many contexts, and whether it can be taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.dashboard.deeds.said import KINDS, UNDO, in_short, said, undo_of
from agent.dashboard.deeds.work import caught_up
from agent.projections.deeds import DeedState


def a_deed(kind: str = "postpone", **fields: Any) -> DeedState:
    told = {"kind": kind, "on": "all retries", "who": "ann", "at": 0.0, **fields.pop("told", {})}
    given = {"total": 5, "place": 5, "changed": 5, "noted": 5, "is_over": True, **fields}
    return DeedState("aud_1", told, **given)


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        (a_deed("run-now", changed=1), "1 is tried again at once."),
        (a_deed("cancel", changed=1204, total=1204, place=1204), "1,204 are cancelled."),
        (a_deed(changed=3, moved_on=2),
         "3 wait until another time. 2 had gone on meanwhile, or must have begun before then."),
        (a_deed("cancel", changed=0, refused=1),
         "0 are cancelled. MongoDB refused to change 1, which are full."),
        (a_deed("retry", changed=4, unsure=1),
         "4 begin anew. Of 1 more it is not known: a process ended midway."),
        (a_deed("retry", changed=61, told={"rate": ["2025-03-01T12:00:00+00:00", 10]}),
         "61 begin anew, 10 a minute: about 6 min."),
        (a_deed("run-now", place=3, changed=3),
         "3 are tried again at once. Stopped: 2 were left as they are."),
        (a_deed("cancel", told={"more": 7}),
         "5 are cancelled. 7 more match: do it again for them."),
    ],
)  # fmt: skip
def test_what_came_of_it_is_told_in_words(deed: DeedState, expected: str) -> None:
    """How many, what had gone on, what is left."""
    assert said(deed) == expected


@pytest.mark.parametrize(
    "deed",
    [a_deed(is_over=False), a_deed(changed=0), a_deed(noted=0), a_deed(is_undone=True),
     a_deed("retry"), a_deed("undo-postpone")],
    ids=["going on", "nothing done", "too late", "undone", "dead letters", "an undo"],
)  # fmt: skip
def test_nothing_is_offered_that_cannot_be_done(deed: DeedState) -> None:
    """What can be taken back says what that does."""
    assert undo_of(deed) is None
    assert undo_of(a_deed()) == ("aud_1", "Undo: back to the earlier time")


def test_what_stood_still_begins_later() -> None:
    """Ten minutes after its last piece the next is not begun all at once, and the one after that
    follows upon it."""
    begun = datetime(2025, 3, 1, 12, tzinfo=UTC)
    deed = a_deed("retry", place=60, total=300, told={"rate": [begun.isoformat(), 60]})
    minute = timedelta(minutes=1)
    assert caught_up(deed, begun + minute) == deed
    late = caught_up(deed, begun + 11 * minute)
    assert late.late == 600
    assert caught_up(replace(late, place=120), begun + 11 * minute) == replace(late, place=120)
    assert caught_up(a_deed(), begun) == a_deed()


def test_each_kind_that_can_be_taken_back_has_its_words() -> None:
    """And each of those takes back one that there is."""
    backwards = {kind.removeprefix(UNDO) for kind in KINDS if kind.startswith(UNDO)}
    assert {name for name, kind in KINDS.items() if kind.undo} == backwards


def test_a_line_leads_on_or_back() -> None:
    """To the page that goes on while it is not over; then back."""
    assert in_short(a_deed(is_over=False, place=2), "/there")["path"] == "/there"
    over = in_short(a_deed(), "/there")
    assert (over["path"], over["undo"]) == (None, "Undo: back to the earlier time")
