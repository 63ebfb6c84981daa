"""The calls of an hour: how they were answered, and how long they took as a picture."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from agent.dashboard.pictures.histogram import HEIGHT, LEAST_HEIGHT, MOST_MARKS, histogram_of
from agent.dashboard.seen.answers import MOST_ANSWERS, answers_of
from agent.projections.minutes import LATENCY_BOUNDS
from tests.unit.dashboard.test_recent import a_series

PLACES = len(LATENCY_BOUNDS) + 1


def counts(**at: int) -> list[int]:
    """So many calls in some places: `at3=7`."""
    row = [0] * PLACES
    for name, count in at.items():
        row[int(name[2:])] = count
    return row


def test_what_went_well_is_told_first_and_what_is_rare_last() -> None:
    """In words for people, with the share of each; no call gets lost."""
    found = answers_of(a_series(replies=[{"503": 30, "2xx": 10}, {"529": 5, "other": 4, "2xx": 1}]))
    assert [(each.says, each.count) for each in found.answers] == [
        ("2xx", 11), ("503 Service Unavailable", 30), ("529", 5), ("other", 4),
    ]  # fmt: skip
    assert found.total == 50
    assert sum(each.share for each in found.answers) == pytest.approx(1)
    many = answers_of(a_series(replies=[{str(status): 1 for status in range(400, 440)}]))
    assert (len(many.answers), many.total) == (MOST_ANSWERS, 40)
    assert many.answers[-1].says == "other"


def test_an_hour_without_calls_has_no_answers_and_no_picture() -> None:
    """Nothing is divided by nothing."""
    found = answers_of(a_series())
    assert (found.total, found.answers, found.histogram) == (0, [], None)


def test_latencies_of_all_minutes_are_one_picture() -> None:
    """From the first bound that has calls to the last."""
    found = answers_of(a_series(latencies=[counts(at3=10), counts(at3=30, at5=20)])).histogram
    assert found is not None
    assert [(bar.says, bar.count) for bar in found.bars] == [
        ("50 ms to 100 ms", 40), ("100 ms to 250 ms", 0), ("250 ms to 500 ms", 20),
    ]  # fmt: skip
    assert [bar.height for bar in found.bars] == [HEIGHT, 0, HEIGHT // 2]
    assert [(mark.says, mark.anchor) for mark in found.marks] == [
        ("50 ms", "start"), ("100 ms", "middle"), ("250 ms", "middle"), ("500 ms", "end"),
    ]  # fmt: skip
    assert found.says == "60 calls: half of them took 88 ms at most, 19 of 20 462 ms"


def test_a_single_call_has_a_picture_at_either_end() -> None:
    """Also where it took longer than any bound."""
    first, last = histogram_of(counts(at0=1)), histogram_of([0] * (PLACES - 1) + [1])
    assert first is not None
    assert last is not None
    assert [mark.says for mark in first.marks] == ["0", "10 ms"]
    assert [mark.says for mark in last.marks] == ["60 min", "longer"]
    assert last.bars[0].says == "more than 60 min"
    assert first.says.startswith("1 call:")


def test_no_bar_leaves_the_picture_and_none_is_too_low_to_be_seen() -> None:
    """Whatever is drawn; words below do not crowd."""
    for seed in range(200):
        drawn = random.Random(seed)
        row = [drawn.choice((0, 0, 1, 50, 100_000)) for _ in range(PLACES)]
        found = histogram_of(row)
        for bar in found.bars if found else []:
            assert 0 <= bar.x < bar.x + bar.width <= 100.001
            assert bar.y + bar.height == HEIGHT
            assert (bar.height >= LEAST_HEIGHT) == (bar.count > 0)
        marks = found.marks if found else []
        assert len(marks) <= MOST_MARKS + 1
        assert all(after.x - mark.x > 9 for mark, after in pairwise(marks))
