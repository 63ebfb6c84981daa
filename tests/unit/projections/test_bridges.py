"""Signs of life of bridges, and how their duties go."""

from __future__ import annotations

from dataclasses import replace

import redis

from agent.projections.bridges import FORGOTTEN, Bridges, BridgeView, DutyView

KEY = "agent:bridges"
DUTIES = [
    DutyView("admit", 0.25, 0.004),
    DutyView("rescue", 3.0, 0.5, every_seconds=5, error="MongoDB: away", error_age_seconds=3.0),
]


def a_bridge(owner: str = "bridge:1", **changes: object) -> BridgeView:
    bridge = BridgeView(
        owner, "h", 7, "0.1.0", "2026-01-01T00:00:00+00:00", leads=True, listens=True,
        watches=False, duties=DUTIES, bounds={"ANALYSIS": "every thread of its workers is busy"},
    )  # fmt: skip
    return replace(bridge, **changes)  # type: ignore[arg-type]


def aged(client: redis.Redis, owner: str, seconds: float) -> None:
    client.zincrby(KEY, -seconds, owner)


def test_a_beat_is_read_back_with_ages_as_they_are_now(client: redis.Redis) -> None:
    """However long ago the bridge beat."""
    bridges = Bridges(client, "agent")
    bridges.beat(a_bridge())
    aged(client, "bridge:1", 100)
    [seen] = bridges.all()
    age = seen.beat_age_seconds
    assert 100 <= age < 105
    assert not seen.is_alive
    assert replace(seen, duties=DUTIES, beat_age_seconds=0.0) == a_bridge()
    assert [duty.age_seconds for duty in seen.duties] == [0.25 + age, 3.0 + age]
    assert [duty.is_failing for duty in seen.duties] == [False, True]


def test_one_that_leaves_is_gone_at_once(client: redis.Redis) -> None:
    """An orderly end leaves nothing behind."""
    bridges = Bridges(client, "agent")
    bridges.beat(a_bridge())
    bridges.leave("bridge:1")
    assert bridges.all() == []
    assert client.exists(KEY, f"{KEY}:info") == 0


def test_what_a_bridge_told_is_gone_after_a_while(client: redis.Redis) -> None:
    """By the next beat of another one, and by itself where there is none."""
    bridges = Bridges(client, "agent")
    for owner in ("gone", "silent"):
        bridges.beat(a_bridge(owner))
    aged(client, "gone", FORGOTTEN.total_seconds() + 1)
    aged(client, "silent", 60)
    bridges.beat(a_bridge("living"))
    assert set(client.hkeys(f"{KEY}:info")) == {"silent", "living"}
    assert [each.owner for each in bridges.all() if each.is_alive] == ["living"]
    assert all(0 < client.ttl(key) <= FORGOTTEN.total_seconds() for key in (KEY, f"{KEY}:info"))


def test_an_entry_that_cannot_be_read_hides_no_other(client: redis.Redis) -> None:
    """Another version's, or a damaged one."""
    bridges = Bridges(client, "agent")
    for owner, text in (("a", "{"), ("b", '{"duties": 7}'), ("c", "[1]")):
        bridges.beat(a_bridge(owner))
        client.hset(f"{KEY}:info", owner, text)
    bridges.beat(a_bridge("d"))
    assert [each.owner for each in bridges.all()] == ["d"]
