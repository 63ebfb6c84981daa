"""Timelines and graphs: from documents to numbers, whatever stands in the documents."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.dashboard.pictures.graph import MOST, graph_of
from agent.dashboard.pictures.timeline import timeline_of
from tests.factories import LONG_AGO, a_context


def test_bars_are_to_scale() -> None:
    """A call of a quarter of the time takes a quarter of the width, behind its wait."""
    made, ended = LONG_AGO, LONG_AGO + timedelta(seconds=100)
    attempt = {"number": 1, "outcome": "completed", "started_at": made + timedelta(seconds=75),
               "finished_at": ended}  # fmt: skip
    drawn = timeline_of(
        a_context(status="completed", created_at=made, completed_at=ended, attempts=[attempt]),
        ended,
    )
    assert drawn is not None
    [row] = drawn.rows
    assert [(bar.kind, bar.start, bar.width) for bar in row.bars] == [
        ("wait", 0, 75), ("run", 75, 25),
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["created_at", "attempts", "started_at", "available_at"])
@pytest.mark.parametrize("value", [None, "x", 7, [], [1, {}], {"number": "x"}, [{"number": []}]])
def test_no_document_is_too_odd_for_a_timeline(field: str, value: object) -> None:
    """Another program may have written anything; no bar leaves the picture."""
    drawn = timeline_of({**a_context(status="processing"), field: value}, LONG_AGO)
    for row in drawn.rows if drawn is not None else []:
        assert all(0 <= bar.start <= bar.start + bar.width <= 100.001 for bar in row.bars)


def test_a_step_stands_behind_those_it_comes_after() -> None:
    """A column for each step in a row, a line for each that leads from one to the next."""
    steps = [
        a_context(_id="a", step="a"),
        a_context(_id="b", step="b", after=["a"]),
        a_context(_id="c", step="c", after=["a", "b", "gone"]),
    ]
    drawn = graph_of(steps)
    assert drawn is not None
    assert len({node.x for node in drawn.nodes}) == 3
    assert len(drawn.lines) == 3


def test_circles_and_crowds_come_to_an_end() -> None:
    """Neither is ever stored by us; of too many steps there is no picture."""
    circle = [a_context(_id="a", after=["b"]), a_context(_id="b", after=["a"])]
    drawn = graph_of(circle)
    assert drawn is not None
    assert len(drawn.nodes) == 2
    assert graph_of([a_context(_id=str(number)) for number in range(MOST + 1)]) is None
    assert graph_of([]) is None


def test_a_step_is_marked_on_its_own_page() -> None:
    """It alone."""
    steps = [a_context(_id="a", step="a"), a_context(_id="b", step="b", after=["a"])]
    drawn = graph_of(steps, "b")
    assert drawn is not None
    assert [node.key for node in drawn.nodes if node.is_here] == ["b"]


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(milliseconds=900), ["0 s", "200 ms", "400 ms", "600 ms", "800 ms"]),
        (timedelta(seconds=119), ["0 s", "30 s", "60 s", "90 s"]),
        (timedelta(minutes=10), ["0 s", "2 min", "4 min", "6 min", "8 min", "10 min"]),
        (timedelta(hours=25), ["0 s", "6 h", "12 h", "18 h", "24 h"]),
    ],
)
def test_ticks_are_round_times(length: timedelta, words: list[str]) -> None:
    """Few enough to be read, and to scale."""
    drawn = timeline_of(
        a_context(status="completed", created_at=LONG_AGO, completed_at=LONG_AGO + length),
        LONG_AGO + length,
    )
    assert drawn is not None
    assert [word for _, word in drawn.ticks] == words
    assert all(0 <= at <= 100 for at, _ in drawn.ticks)


def test_a_wait_that_is_to_come_is_told_from_one_that_was() -> None:
    """And what lies ahead is no part of how long it took so far."""
    now = LONG_AGO + timedelta(seconds=30)
    drawn = timeline_of(
        a_context(
            status="scheduled", created_at=LONG_AGO, available_at=now + timedelta(seconds=10)
        ),
        now,
    )
    assert drawn is not None
    [row] = drawn.rows
    assert [(bar.kind, bar.start, bar.width) for bar in row.bars] == [
        ("wait", 0, 75), ("ahead", 75, 25),
    ]  # fmt: skip
    assert drawn.total == "30 s"
    assert drawn.shown == {"wait", "ahead"}
