"""The views of retries and dead letters, page by page."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
import redis
from bson import ObjectId

from agent.errors import RequestInvalid
from agent.projections.entries import Entry
from agent.projections.view_pages import DeadView, RetriesView, Sort, ViewFilter, ViewPages
from agent.projections.views import View, ViewName, put
from tests.unit.projections.entries import NOW, SECOND, dead, retry

ANN, BOB = {"team": "north", "user": "ann"}, {"team": "south", "user": "bob"}


class Clock:
    """A monotonic clock on which each look takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def fill(client: redis.Redis, entries: Iterable[Entry], name: ViewName = "retries") -> None:
    """Have the view hold these, as the bridge does."""
    view = View(client, "agent", name)
    view.correct(view.snapshot(), list(entries), 0)


@pytest.fixture
def retries(client: redis.Redis) -> RetriesView:
    """Six of two services, kinds, templates and teams, read as if reading took no time."""
    fill(client, [
        retry("c1", 10, attempt=3, tags=ANN),
        retry("c2", 20, attempt=1, tags=BOB, service_type="ANALYSIS"),
        retry("c3", 30, attempt=2, tags=ANN, error={"fingerprint": "k2", "type": "Timeout"}),
        retry("c4", 40, attempt=2, tags=["user:42"], service_type="ANALYSIS"),
        retry("c5", 50, attempt=9, tags=BOB, template_id="other"),
        retry("c6", 60, attempt=1, wait_reason="snooze"),
    ])  # fmt: skip
    return RetriesView(client, "agent", monotonic=lambda: 0.0)


def keys(view: ViewPages, sort: Sort | None = None, **filter: str) -> list[str]:
    return [entry.key for entry in view.page(sort, ViewFilter(**filter)).entries]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (None, ["c1", "c2", "c3", "c4", "c5", "c6"]),
        ("next", ["c1", "c2", "c3", "c4", "c5", "c6"]),
        ("newest", ["c6", "c5", "c4", "c3", "c2", "c1"]),
        ("attempts", ["c5", "c1", "c3", "c4", "c2", "c6"]),
        ("service", ["c2", "c4", "c1", "c3", "c5", "c6"]),
    ],
)
def test_retries_are_sorted(retries: RetriesView, sort: Sort | None, expected: list[str]) -> None:
    """By the next time, by the number of attempts, by service; within these by the next time."""
    assert keys(retries, sort) == expected


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"service": "ANALYSIS"}, ["c2", "c4"]),
        ({"kind": "k2"}, ["c3"]),
        ({"error_type": "Timeout"}, ["c3"]),
        ({"template": "other"}, ["c5"]),
        ({"tag": "team=north"}, ["c1", "c3"]),
        ({"tag": "user:42"}, ["c4"]),
        ({"reason": "snooze"}, ["c6"]),
        ({"tag": "team=south", "service": "ANALYSIS"}, ["c2"]),
        ({"service": "NONE"}, []),
        ({"tag": "team"}, []),
    ],
)
def test_retries_are_filtered(
    retries: RetriesView, filter: dict[str, str], expected: list[str]
) -> None:
    """By service, kind, type of error, template, tag and reason, all together."""
    assert keys(retries, **filter) == expected
    assert retries.words(ViewFilter(**filter)) == expected
    assert retries.page(filter=ViewFilter(**filter)).total == len(expected)


@pytest.mark.parametrize("sort", ["next", "newest", "attempts", "service"])
def test_pages_follow_each_other_whatever_goes_meanwhile(retries: RetriesView, sort: Sort) -> None:
    """None comes twice and none is left out, also when the last one of a page has gone."""
    whole = keys(retries, sort)
    first = retries.page(sort, limit=2)
    assert [entry.key for entry in first.entries] == whole[:2]
    retries.remove([first.entries[1].word])
    rest, cursor = [], first.next
    while cursor is not None:
        page = retries.page(sort, limit=2, cursor=cursor)
        rest += [entry.key for entry in page.entries]
        cursor = page.next
    assert rest == whole[2:]


@pytest.mark.parametrize("cursor", ["", "?", "bm9uZQ", "W10", "WyJuZXh0IiwgInoiLCAxXQ", "é"])
def test_a_cursor_of_somebody_else_is_refused(retries: RetriesView, cursor: str) -> None:
    """With what to do."""
    with pytest.raises(RequestInvalid, match="begin without it"):
        retries.page("next", cursor=cursor)


def test_a_cursor_of_another_order_is_refused(retries: RetriesView) -> None:
    """It would begin anywhere."""
    cursor = retries.page("next", limit=1).next
    with pytest.raises(RequestInvalid):
        retries.page("attempts", cursor=cursor)


def test_the_newest_dead_letter_comes_first(client: redis.Redis) -> None:
    """And says when it failed."""
    fill(client, [dead("new", 1), dead("middle", 5), dead("old", 9)], "dead")
    assert keys(DeadView(client, "agent")) == ["new", "middle", "old"]


def test_what_there_is_to_choose_from_comes_with_counts(retries: RetriesView) -> None:
    """The most frequent first, within another choice if wanted."""
    assert retries.choices("service") == [("GENERATIVE", 4), ("ANALYSIS", 2)]
    assert retries.choices("tag", ViewFilter(service="ANALYSIS")) == [
        ("team=south", 1), ("user=bob", 1), ("user:42", 1),
    ]  # fmt: skip
    assert retries.choices("kind") == [("19872f5ae61e", 5), ("k2", 1)]


def test_a_total_is_about_right_while_there_are_more(client: redis.Redis) -> None:
    """Of a full view the rest is counted; what matches of it nobody knows."""
    view = View(client, "agent", "retries")
    view.correct(view.snapshot(), [retry("c1"), retry("c2", service_type="ANALYSIS")], 500)
    pages = RetriesView(client, "agent")
    assert (pages.page().total, pages.page().is_exact) == (502, False)
    some = pages.page(filter=ViewFilter(service="ANALYSIS"))
    assert (some.total, some.is_exact, some.is_built) == (1, False, True)


def test_a_view_that_redis_lost_says_so(client: redis.Redis) -> None:
    """Nothing waits, or nothing is known to wait: that is not the same."""
    page = RetriesView(client, "agent").page()
    assert (page.entries, page.total, page.is_exact, page.is_built) == ([], 0, False, False)
    fill(client, [])
    page = RetriesView(client, "agent").page()
    assert (page.total, page.is_exact, page.is_built) == (0, True, True)


def test_a_change_is_seen_once_reading_has_paid_off(client: redis.Redis) -> None:
    """However often pages ask, a process spends a tenth of its time at most on reading."""
    clock = Clock()
    fill(client, [retry("c1")])
    pages = RetriesView(client, "agent", monotonic=clock)
    assert keys(pages) == ["c1"]
    with client.pipeline() as pipeline:
        put(pipeline, "agent", "retries", [retry("c2", 20)])
        pipeline.execute()
    asked = 0
    while keys(pages) == ["c1"]:
        asked += 1
    assert 1 <= asked <= 30
    assert keys(pages) == ["c1", "c2"]


def test_what_a_person_took_out_is_gone_from_the_next_page(client: redis.Redis) -> None:
    """Whatever is kept of the last reading; an id may be any BSON value."""
    odd = ObjectId()
    fill(client, [retry("c1"), retry(odd, 20), retry("c3", 30)])
    pages = RetriesView(client, "agent", monotonic=Clock())
    pages.remove([pages.page().entries[1].word])
    assert keys(pages) == ["c1", "c3"]
    assert client.zcard("agent:retries") == client.hlen("agent:retries:info") == 2


def test_an_entry_that_cannot_be_read_hides_no_other(
    client: redis.Redis, retries: RetriesView
) -> None:
    """Garbage, another form, a member without a word about it."""
    odd = ["{", "[]", "7", '"x"', "{}", json.dumps({"key": "k", "service": 7, "attempt": "x"})]
    for place, text in enumerate(odd):
        client.zadd("agent:retries", {f"odd{place}": 1})
        client.hset("agent:retries:info", f"odd{place}", text)
    client.zadd("agent:retries", {"bare": 1})
    client.hincrby("agent:retries:state", "version", 1)
    for sort in ("next", "attempts", "service"):
        assert set(keys(retries, sort)) == {"c1", "c2", "c3", "c4", "c5", "c6"}  # type: ignore[arg-type]


def test_what_was_postponed_has_its_new_time_at_once(
    retries: RetriesView, client: redis.Redis
) -> None:
    """The others keep theirs, and what is not there is not put in."""
    retries.move(["c1", "c2", "gone"], NOW + 45 * SECOND)
    fresh = RetriesView(client, "agent")
    assert keys(fresh) == ["c3", "c4", "c1", "c2", "c5", "c6"]
    assert {entry.at for entry in fresh.page().entries[2:4]} == {NOW + 45 * SECOND}
