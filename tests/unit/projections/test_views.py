"""The sorted sets of retries and dead letters, as they are kept."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
import redis

from agent.projections import views
from agent.projections.entries import Entry
from agent.projections.views import View, ViewName, put
from tests.unit.projections.entries import NOW, SECOND, dead, retry

LIMIT = 10


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views that are soon full, and touched in small parts."""
    monkeypatch.setattr(views, "LIMIT", LIMIT)
    monkeypatch.setattr(views, "CHUNK", 3)


def hand_over(client: redis.Redis, name: ViewName, entries: Iterable[Entry]) -> None:
    with client.pipeline() as pipeline:
        put(pipeline, "agent", name, list(entries))
        pipeline.execute()


def held(client: redis.Redis, name: ViewName) -> list[str]:
    """The keys in the view, each with its info."""
    keys = [str(key) for key in client.zrange(f"agent:{name}", 0, -1)]
    assert sorted(client.hkeys(f"agent:{name}:info")) == sorted(keys)
    return keys


def test_what_is_put_in_stands_at_its_time(client: redis.Redis) -> None:
    """The next one first; again at another time it moves."""
    hand_over(client, "retries", [retry("b", 20), retry("a", 10), retry("c", 30)])
    assert held(client, "retries") == ["a", "b", "c"]
    hand_over(client, "retries", [retry("a", 40)])
    assert held(client, "retries") == ["b", "c", "a"]


@pytest.mark.parametrize(("name", "make"), [("retries", retry), ("dead", dead)])
def test_a_full_view_holds_the_first_and_counts_the_rest(
    client: redis.Redis, name: ViewName, make: object
) -> None:
    """The next ones, the newest ones; in whatever order they come."""
    order = list(range(30))
    random.Random(1).shuffle(order)
    entries = {number: make(f"{number:02}", number) for number in order}  # type: ignore[operator]
    for number in order:
        hand_over(client, name, [entries[number]])
    kept = held(client, name)
    assert kept == sorted(kept, reverse=name == "dead")
    assert set(kept) <= {f"{number:02}" for number in range(LIMIT)}
    state = View(client, "agent", name).state()
    assert state.count + state.more == 30
    assert state.count == len(kept) == LIMIT


def test_nothing_is_put_beyond_what_a_full_view_shows(client: redis.Redis) -> None:
    """There would be a gap before it, of entries that were left out."""
    hand_over(client, "retries", (retry(f"{number:02}", number) for number in range(LIMIT + 5)))
    View(client, "agent", "retries").remove(["03", "04"])
    hand_over(client, "retries", [retry("far", 100), retry("near", 1)])
    assert held(client, "retries") == ["00", "01", "near", "02", "05", "06", "07", "08", "09"]
    assert View(client, "agent", "retries").state().more == 6


def test_what_is_postponed_beyond_it_leaves(client: redis.Redis) -> None:
    """It is one of those that are counted only."""
    hand_over(client, "retries", (retry(f"{number:02}", number) for number in range(LIMIT + 5)))
    hand_over(client, "retries", [retry("03", 1000)])
    assert "03" not in held(client, "retries")


def test_what_was_due_is_taken_out(client: redis.Redis) -> None:
    """In parts, however much it is; what is due later stays."""
    view = View(client, "agent", "retries")
    hand_over(client, "retries", (retry(f"{number}", number) for number in range(9)))
    assert view.drop_until(NOW + 7 * SECOND) == 8
    assert held(client, "retries") == ["8"]
    assert view.drop_until(NOW + 7 * SECOND) == 0


def test_the_version_changes_with_every_entry_and_only_then(client: redis.Redis) -> None:
    """By it readers know that what they have read is still true."""
    view = View(client, "agent", "retries")
    seen = [view.state().version]

    def changed() -> bool:
        seen.append(view.state().version)
        return seen[-1] != seen[-2]

    hand_over(client, "retries", [retry("a"), retry("b")])
    assert changed()
    view.remove(["a"])
    assert changed()
    view.remove(["a", "never"])
    assert not changed()
    view.drop_until(NOW)
    assert not changed()
    view.drop_until(NOW + 20 * SECOND)
    assert changed()


def test_a_correction_makes_it_what_mongodb_holds(client: redis.Redis) -> None:
    """What is missing comes, what is gone goes, what is wrong is mended, the rest is left."""
    hand_over(client, "retries", [retry("right"), retry("gone"), retry("moved", 5), retry("old")])
    client.zrem("agent:retries", "right")
    client.hset("agent:retries:info", "stray", "{}")
    client.zadd("agent:retries", {"bare": 7})
    view = View(client, "agent", "retries")
    wanted = [retry("right"), retry("moved", 50), retry("old", failures=2), retry("missing")]
    assert view.correct(view.snapshot(), wanted, 0) == 7
    assert set(held(client, "retries")) == {"right", "moved", "old", "missing"}
    assert view.correct(view.snapshot(), wanted, 0) == 0
    assert view.state().is_built


def test_a_correction_leaves_what_has_changed_since(client: redis.Redis) -> None:
    """A worker's word is newer than what was read."""
    hand_over(client, "retries", [retry("a"), retry("b")])
    view = View(client, "agent", "retries")
    before = view.snapshot()
    hand_over(client, "retries", [retry("a", 99, failures=2), retry("new")])
    assert view.correct(before, [retry("a"), retry("b")], 0) == 0
    assert set(held(client, "retries")) == {"a", "b", "new"}
    assert client.zscore("agent:retries", "a") == pytest.approx((NOW + 99 * SECOND).timestamp())


def test_a_correction_knows_how_many_there_are_beside(client: redis.Redis) -> None:
    """And again that there are none."""
    view = View(client, "agent", "retries")
    entries = [retry(f"{number:02}", number) for number in range(LIMIT)]
    view.correct(view.snapshot(), entries, 500)
    assert view.state().more == 500
    hand_over(client, "retries", [retry("far", 1000)])
    assert view.state().more == 501
    view.correct(view.snapshot(), entries[:5], 0)
    hand_over(client, "retries", [retry("far", 1000)])
    assert "far" in held(client, "retries")


def test_a_view_that_was_lost_says_so_whatever_comes_after(client: redis.Redis) -> None:
    """Workers go on putting in what they write."""
    view = View(client, "agent", "retries")
    view.correct(view.snapshot(), [retry("a")], 0)
    client.flushall()
    hand_over(client, "retries", [retry("b")])
    assert not view.state().is_built
    assert view.state().count == 1
