"""The minutes as they are counted, kept, remembered and read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import redis

from agent.models import Document
from agent.projections.minute_view import DAY, HOUR, Series, quantile, read_minutes
from agent.projections.minutes import (
    COUNTS,
    KEPT_SECONDS,
    LATENCY_BOUNDS,
    WIDTH,
    MinuteCounts,
    Minutes,
    Sample,
)
from agent.projections.remembered import replies_of, rows_of
from agent.projections.reply_words import MOST, OTHER
from tests.factories import a_context
from tests.unit.projections.entries import NOW, SECOND

NOW_MINUTE = int(NOW.timestamp()) // 60


def read(client: redis.Redis, since: timedelta = HOUR, **options: Any) -> Series:
    return read_minutes(client, "agent", ["ANALYSIS"], since, **options)["ANALYSIS"]


def write(client: redis.Redis, counts: MinuteCounts, now: float) -> None:
    with client.pipeline() as pipeline:
        counts.queue_on(pipeline, "agent", now)
        pipeline.execute()


def test_what_several_processes_counted_is_added_up(client: redis.Redis) -> None:
    """Each by its own clock, which need not agree with any other."""
    for clock in (10.0, 99_999.0):
        counts = MinuteCounts()
        counts.count("ANALYSIS", clock, "completed", seconds=0.2)
        counts.count("ANALYSIS", clock, "retried", seconds=3)
        write(client, counts, clock)
    series = read(client)
    assert (sum(series.completed), sum(series.retried), sum(series.failed)) == (2, 2, 0)
    assert sum(series.calls) == 4
    assert sum(read_minutes(client, "agent", ["GENERATIVE"])["GENERATIVE"].calls) == 0


def test_what_was_counted_earlier_stands_in_its_minute(client: redis.Redis) -> None:
    """A flush says how old a count is."""
    counts = MinuteCounts()
    counts.count("ANALYSIS", 0.0, "completed")
    counts.count("ANALYSIS", 600.0, "failed")
    write(client, counts, 600.0)
    series = read(client)
    [completed], [failed] = places(series.completed), places(series.failed)
    assert failed - completed == 10
    assert failed >= len(series.starts) - 2


def places(values: list[int]) -> list[int]:
    return [place for place, value in enumerate(values) if value]


def test_an_hour_has_sixty_items_and_a_day_as_many_as_are_wanted(client: redis.Redis) -> None:
    """All lists are of one length; the last item is of now."""
    hour, day = read(client), read(client, DAY, step=timedelta(minutes=5))
    assert [len(value) for value in lists_of(hour)] == [60] * 12
    assert {len(value) for value in lists_of(day)} <= {288, 289}
    assert 0 <= float(client.time()[0]) - hour.starts[-1] < 120
    assert hour.starts[1] - hour.starts[0] == 60
    assert day.starts[1] - day.starts[0] == 300
    assert day.starts[0] % 300 == 0


def lists_of(series: Series) -> list[list[Any]]:
    return [getattr(series, name) for name in Series.__slots__ if name != "is_exact"]


def test_steps_of_several_minutes_add_up_and_show_the_last_sample(client: redis.Redis) -> None:
    """No count gets lost between two steps."""
    minutes = Minutes(client, "agent")
    last = int(minutes.now()) // 60
    minutes.rebuild({("ANALYSIS", last - age): row(completed=1) for age in range(60)}, last)
    for age in range(60):
        minutes.sample(last - age, {"ANALYSIS": Sample(pending=age, scheduled=7, in_flight=2)})
    series = read(client, step=timedelta(minutes=10))
    assert sum(series.completed) in (60, 59)  # the minute may have changed meanwhile
    assert series.pending[-1] in (0, None, 9)
    assert set(series.scheduled[:-1]) == {7}
    assert set(series.in_flight[:-1]) == {2}


def row(**counted: int) -> list[int]:
    return [counted.get(name, 0) for name in COUNTS] + [0] * (WIDTH - len(COUNTS))


def test_a_minute_that_nobody_looked_at_has_no_sample(client: redis.Redis) -> None:
    """No line is drawn at 0 while no bridge was there."""
    assert set(read(client).pending) == {None}


def test_everything_is_gone_after_a_day(client: redis.Redis) -> None:
    """What is kept says itself until when."""
    counts = MinuteCounts()
    counts.count("ANALYSIS", 0.0, "completed", seconds=1)
    write(client, counts, 0.0)
    minutes = Minutes(client, "agent")
    last = int(minutes.now()) // 60
    minutes.sample(last, {"GENERATIVE": Sample(1, 2, 3)})
    minutes.rebuild({("COMMUNICATION", last - 600): row(completed=1)}, last)
    found = [key for key in client.scan_iter("agent:minutes:*") if not key.endswith("state")]
    assert len(found) == 3
    assert all(0 < client.ttl(key) <= KEPT_SECONDS for key in found)


def test_what_was_built_anew_is_about_right_until_it_is_past(client: redis.Redis) -> None:
    """Where nothing was known of before, nothing is missing."""
    minutes = Minutes(client, "agent")
    assert not minutes.is_built()
    assert not read(client).is_exact
    last = int(minutes.now()) // 60
    minutes.rebuild({("ANALYSIS", last - 1): row(completed=3)}, last)
    assert minutes.is_built()
    assert not read(client).is_exact
    minutes.rebuild({("ANALYSIS", last - 70): row(completed=3)}, last - 61)
    assert read(client).is_exact
    minutes.rebuild({}, last)
    assert read(client).is_exact


def test_a_minute_too_old_for_any_chart_is_not_built(client: redis.Redis) -> None:
    """Nor one of a context that ended in the future, by whatever clock."""
    minutes = Minutes(client, "agent")
    last = int(minutes.now()) // 60
    minutes.rebuild({("ANALYSIS", last - 5000): row(calls=1), ("ANALYSIS", last + 9): row()}, last)
    assert list(client.scan_iter("agent:minutes:ANALYSIS:*")) == []


@pytest.mark.parametrize("text", ["", "{", "7", "null", '["x"]', "[1e999]", "[[1]]"])
def test_a_row_that_cannot_be_read_counts_nothing(client: redis.Redis, text: str) -> None:
    """Another version may have written it."""
    minute = int(client.time()[0]) // 60
    client.hset(f"agent:minutes:ANALYSIS:{minute // 60}", str(minute % 60), text)
    assert sum(read(client).calls) == 0


# How calls were answered


def answered(series: Series) -> dict[str, int]:
    """All of a series together."""
    found: dict[str, int] = {}
    for each in series.replies:
        for word, count in each.items():
            found[word] = found.get(word, 0) + count
    return found


def test_answers_of_several_processes_are_added_up(client: redis.Redis) -> None:
    """By word, beside the calls; a count that waited for Redis is not lost, nor counted twice."""
    waited, newer = MinuteCounts(), MinuteCounts()
    waited.count("ANALYSIS", 10.0, "completed", seconds=0.2, reply="2xx")
    newer.count("ANALYSIS", 10.0, "retried", seconds=0.2, reply="503")
    waited.add(newer)
    for counts in (waited, newer):
        write(client, counts, 10.0)
    series = read(client)
    assert answered(series) == {"2xx": 1, "503": 2}
    assert sum(series.calls) == 3
    assert sum(map(sum, series.latencies)) == 3
    waited.forget_before(11.0)
    assert (waited.rows, waited.replies) == ({}, {})


def test_a_service_with_many_answers_has_no_more_words_than_there_is_room_for(
    client: redis.Redis,
) -> None:
    """What is beyond them is counted together, in one flush and in the next."""
    for first in (400, 450):
        counts = MinuteCounts()
        for status in range(first, first + 50):
            counts.count("ANALYSIS", 10.0, seconds=0.2, reply=str(status))
        write(client, counts, 10.0)
    found = [each for each in read(client).replies if each]
    assert all(len(each) <= MOST for each in found)
    assert sum(sum(each.values()) for each in found) == 100
    assert all(OTHER in each for each in found)


@pytest.mark.parametrize("text", ["", "{", "7", "null", "[1]", '{"503": "x"}', '{"503": 1e999}'])
def test_answers_that_cannot_be_read_count_nothing(client: redis.Redis, text: str) -> None:
    """Another version may have written them."""
    minute = int(client.time()[0]) // 60
    client.hset(f"agent:minutes:ANALYSIS:{minute // 60}", f"{minute % 60}r", text)
    assert answered(read(client)) == {}


def test_answers_are_built_anew_beside_the_rows(client: redis.Redis) -> None:
    """And have as much room as those that were counted."""
    minutes = Minutes(client, "agent")
    last = int(minutes.now()) // 60
    many = {str(status): 1 for status in range(400, 450)}
    minutes.rebuild(
        {("ANALYSIS", last - age): row(calls=1) for age in (1, 2)},
        last,
        {("ANALYSIS", last - 1): {"503": 2}, ("ANALYSIS", last - 2): many},
    )
    found = answered(read(client))
    assert found["503"] == 2
    assert sum(found.values()) == 52
    assert len(found) <= MOST + 1


@pytest.mark.parametrize(
    ("seconds", "part", "at_least", "at_most"),
    [
        ([0.2] * 10, 0.5, 0.1, 0.25),
        ([0.2] * 90 + [4.0] * 10, 0.5, 0.1, 0.25),
        ([0.2] * 90 + [4.0] * 10, 0.95, 2.5, 5.0),
        ([0.0], 0.95, 0.0, 0.01),
        ([1e9], 0.5, LATENCY_BOUNDS[-1], LATENCY_BOUNDS[-1]),
    ],
)
def test_a_quantile_lies_in_the_right_bucket(
    client: redis.Redis, seconds: list[float], part: float, at_least: float, at_most: float
) -> None:
    """That is as good as a chart needs it."""
    counts = MinuteCounts()
    for each in seconds:
        counts.count("ANALYSIS", 0.0, seconds=each)
    found = quantile(counts.rows["ANALYSIS", 0][len(COUNTS) :], part)
    assert found is not None
    assert at_least <= found <= at_most
    write(client, counts, 0.0)
    series = read(client)
    charted = series.p50 if part == 0.5 else series.p95
    assert [each for each in charted if each is not None] == [found]


# What contexts remember


def ended(status: str, *outcomes: str, at: datetime = NOW, **fields: Any) -> Document:
    """A context with these attempts, a minute apart, the last one at that time."""
    attempts = [
        {"number": 1, "outcome": outcome, "finished_at": at - age * 60 * SECOND, "duration_ms": 200}
        for age, outcome in zip(reversed(range(len(outcomes))), outcomes, strict=True)
    ]
    return a_context(**{"status": status, "completed_at": at, "attempts": attempts, **fields})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (ended("completed", "completed"), {0: {"completed": 1, "calls": 1}}),
        (
            ended("completed", "retry", "completed"),
            {0: {"completed": 1, "calls": 1}, -1: {"retried": 1, "calls": 1}},
        ),
        (
            ended("failed", "retry", "retry"),
            {0: {"failed": 1, "calls": 1}, -1: {"retried": 1, "calls": 1}},
        ),
        (ended("scheduled", "snooze", completed_at=None), {0: {"retried": 1, "calls": 1}}),
        (ended("failed", "lost"), {0: {"failed": 1}}),
        (ended("cancelled"), {}),
        (ended("completed", kind="parent"), {}),
        ({"_id": 1, "status": "completed", "completed_at": NOW, "service_type": 7}, {}),
        (
            {"_id": 1, "status": "failed", "completed_at": "x", "service_type": "GENERATIVE",
             "attempts": [7, {"outcome": "retry"}, {"outcome": "retry", "finished_at": 8}]},
            {},
        ),
    ],
)  # fmt: skip
def test_a_context_remembers_its_attempts_and_its_end(
    document: Document, expected: dict[int, dict[str, int]]
) -> None:
    """Minute by minute; what another program wrote is passed over."""
    found = rows_of([document], 0.0)
    told = {
        minute - NOW_MINUTE: {name: n for name, n in zip(COUNTS, row, strict=False) if n}
        for (_, minute), row in found.items()
    }
    assert told == expected


def test_a_context_remembers_how_its_calls_were_answered() -> None:
    """By the minute in which each of them ended; one without a call says nothing."""
    error = {"type": "ServiceFailed", "message": "503", "status_code": 503}
    refused = {"number": 1, "outcome": "retry", "finished_at": NOW - 60 * SECOND, "error": error}
    documents = [
        ended("completed", "completed"),
        a_context(status="scheduled", attempts=[refused]),
        ended("failed", "lost"),
        ended("completed", "completed", kind="parent"),
        {"_id": 1, "service_type": "GENERATIVE", "attempts": [7, {"outcome": ["retry"]}]},
    ]
    found = replies_of(documents, 0.0)
    assert {minute - NOW_MINUTE: dict(each) for (_, minute), each in found.items()} == {
        0: {"2xx": 1},
        -1: {"503": 1},
    }


def test_minutes_are_those_of_rediss_clock() -> None:
    """However far it is ahead of MongoDB's."""
    [(_, minute)] = rows_of([ended("completed")], 3600.0)
    assert minute == NOW_MINUTE + 60
