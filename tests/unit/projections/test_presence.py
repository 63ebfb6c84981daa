"""Heartbeats of worker processes."""

import json
from dataclasses import replace
from datetime import timedelta

import redis

from agent.projections.presence import Presence, Running, WorkerView, threads_by_service

KEY = "agent:workers"


def a_worker(worker_id: str = "w1", **changes: object) -> WorkerView:
    worker = WorkerView(
        worker_id=worker_id,
        service_types=("GENERATIVE",),
        threads=64,
        busy=1,
        host="h",
        pid=7,
        version="0.1.0",
        draining=False,
        started_at="2026-01-01T00:00:00+00:00",
        running=[Running("ctx_1", "GENERATIVE", 1.5)],
        broker_id="b1",
    )
    return replace(worker, **changes)  # type: ignore[arg-type]


def aged(client: redis.Redis, worker_id: str, seconds: float) -> None:
    client.zincrby(KEY, -seconds, worker_id)


def test_a_beat_is_read_back_whole(client: redis.Redis) -> None:
    """What a worker says about itself is what readers see, and how fresh it is."""
    presence = Presence(client, "agent")
    presence.beat(a_worker())
    (seen,) = presence.live()
    assert a_worker() == replace(seen, beat_age_seconds=0.0)
    assert 0 <= seen.beat_age_seconds < 5


def test_a_silent_worker_is_not_live_but_known_for_an_hour(client: redis.Redis) -> None:
    """Seven seconds without a beat end its life, an hour its memory."""
    presence = Presence(client, "agent")
    for worker_id, age in (("now", 0), ("late", 8), ("gone", 3601)):
        presence.beat(a_worker(worker_id))
        aged(client, worker_id, age)
    assert [view.worker_id for view in presence.live()] == ["now"]
    assert [view.worker_id for view in presence.all()] == ["late", "now"]
    assert {"late", "now"} == set(client.hkeys(f"{KEY}:info"))
    assert [v.worker_id for v in presence.live(timedelta(seconds=20))] == ["late", "now"]


def test_a_worker_that_leaves_is_gone_at_once(client: redis.Redis) -> None:
    """An orderly end leaves nothing behind."""
    presence = Presence(client, "agent")
    presence.beat(a_worker())
    presence.leave("w1")
    assert presence.all() == []
    assert client.exists(KEY, f"{KEY}:info") == 0


def test_an_entry_that_cannot_be_read_is_skipped(client: redis.Redis) -> None:
    """Another version's or a damaged entry hides no neighbour."""
    presence = Presence(client, "agent")
    for worker_id, text in (("a", "{"), ("b", '{"threads": "many"}'), ("c", "[1]")):
        presence.beat(a_worker(worker_id))
        client.hset(f"{KEY}:info", worker_id, text)
    presence.beat(a_worker("d"))
    client.hdel(f"{KEY}:info", "d")
    presence.beat(a_worker("e"))
    assert [view.worker_id for view in presence.live()] == ["e"]


def test_a_field_of_a_newer_version_is_ignored(client: redis.Redis) -> None:
    """Two versions beat side by side during a deploy."""
    presence = Presence(client, "agent")
    presence.beat(a_worker())
    text = client.hget(f"{KEY}:info", "w1")
    newer = {**json.loads(text or ""), "mood": "good"}
    client.hset(f"{KEY}:info", "w1", json.dumps(newer))
    assert len(presence.live()) == 1


def test_threads_are_shared_out_among_the_services_of_a_process() -> None:
    """Each gets the whole part of its share; a draining process takes nothing more."""
    workers = [
        a_worker("1", service_types=("A", "B", "C"), threads=8),
        a_worker("2", service_types=("A",), threads=4),
        a_worker("3", service_types=("D",), draining=True),
        a_worker("4", service_types=()),
    ]
    assert threads_by_service(workers) == {"A": 6, "B": 2, "C": 2, "D": 0}
