"""The projections on a real redis-server, which is stopped and started under them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from agent.errors import BrokerUnavailable
from agent.projections.broker_view import QueueView, read_queues
from agent.projections.connection import check_redis
from agent.projections.counters import read_counters
from agent.projections.doorbell import Listener, doorbell_channel, ring, wake, wake_channel
from agent.projections.presence import Presence, WorkerView
from agent.projections.signals import Signals, forbidden_streak, read_window
from tests.servers import RedisServer
from tests.waiting import wait_until


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.connect() as connected:
        yield connected


class Heard:
    """What a listener called back with."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    def __call__(self, channel: str, data: str) -> None:
        self.messages.append((channel, data))
        if data == "trouble":
            raise ValueError(data)


def a_worker(worker_id: str) -> WorkerView:
    return WorkerView(worker_id, ("ANALYSIS",), 8, 0, "h", 1, "0.1.0", False, "2026-01-01")


def saw(signals: Signals, outcome: str, *, failing: bool = False, forbidden: bool = False) -> None:
    signals.record(
        "ANALYSIS",
        outcome=outcome,
        failing=failing,
        forbidden=forbidden,
        context_key="ctx_1",
        seconds=0.3,
        pickup_seconds=0.01,
    )


def test_a_sound_redis_gives_no_warning_and_an_evicting_one_does(client: redis.Redis) -> None:
    """The server's own words are what is judged."""
    assert check_redis(client) == []
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        (warning,) = check_redis(client)
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert "allkeys-lru" in warning


def test_an_operator_sees_who_is_connected(client: redis.Redis) -> None:
    """CLIENT LIST names the part."""
    assert "agent:test" in [entry["name"] for entry in client.client_list()]


def test_more_threads_than_connections_take_turns(redis_server: RedisServer) -> None:
    """A small pool makes callers wait a moment, not fail."""
    with redis_server.connect(max_connections=2) as small, ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: small.ping(), range(200)))


def test_a_connection_broken_since_its_last_use_is_not_noticed(own_redis: RedisServer) -> None:
    """After a restart of Redis the first command comes through, and while it is away ours fails."""
    with own_redis.connect() as client:
        presence = Presence(client, "agent")
        presence.beat(a_worker("w1"))
        own_redis.stop()
        with pytest.raises(BrokerUnavailable):
            presence.beat(a_worker("w1"))
        own_redis.start()
        presence.beat(a_worker("w1"))  # the script is unknown to the new server, too
        assert [view.worker_id for view in presence.live()] == ["w1"]


def test_beats_are_dated_by_the_server_and_read_in_one_round_trip(client: redis.Redis) -> None:
    """No clock of a host is asked, and a page costs Redis one command."""
    presence = Presence(client, "agent")
    for number in range(20):
        presence.beat(a_worker(f"w{number}"))
    score = client.zscore("agent:workers", "w3")
    seconds, _ = client.time()
    assert isinstance(score, float)
    assert abs(seconds - score) < 5
    presence.live()
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert len(presence.live()) == 20
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1


def test_what_two_workers_saw_adds_up(client: redis.Redis) -> None:
    """The gate sees the calls of all, in the window, the streak and the totals."""
    for _ in range(2):
        signals = Signals("agent")
        saw(signals, "completed")
        saw(signals, "retry", failing=True)
        signals.flush(client)
    window = read_window(client, "agent", ["ANALYSIS", "GENERATIVE"])["ANALYSIS"]
    assert (window.calls, window.failing) == (4, 2)
    assert window.last_success_age_seconds is not None
    assert window.last_success_age_seconds < 5
    counted = read_counters(client, "agent", ["ANALYSIS"])
    assert counted.attempts == {("ANALYSIS", "completed"): 2, ("ANALYSIS", "retry"): 2}
    assert counted.timings["attempt_seconds", "ANALYSIS"].buckets[-1] == ("+Inf", 4)
    assert counted.timings["pickup_seconds", "ANALYSIS"].sum == pytest.approx(0.04)


def test_another_workers_success_breaks_the_streak(client: redis.Redis) -> None:
    """The key is right if anybody's call is accepted."""
    refused, accepted = Signals("agent"), Signals("agent")
    saw(refused, "failed", forbidden=True)
    refused.flush(client)
    assert forbidden_streak(client, "agent", "ANALYSIS") == 1
    saw(accepted, "completed")
    accepted.flush(client)
    assert forbidden_streak(client, "agent", "ANALYSIS") == 0


def test_a_full_redis_takes_all_of_a_flush_or_nothing(client: redis.Redis) -> None:
    """Out of memory is a refusal; no half of it stays."""
    signals = Signals("agent")
    saw(signals, "completed")
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerUnavailable):
            signals.flush(client)
    finally:
        client.config_set("maxmemory", 0)
    assert client.keys("agent:*") == []


def test_a_listener_hears_its_channels_and_no_others(client: redis.Redis) -> None:
    """Rings and wakes arrive with their text, and a callback in trouble does not end it."""
    heard = Heard()
    listener = Listener(
        client, [doorbell_channel("agent"), wake_channel("agent", "analysis")], heard
    )
    listener.start()
    try:
        assert listener.wait_until_connected(5)
        ring(client, "agent", "trouble")
        ring(client, "other")
        wake(client, "agent", "analysis")
        ring(client, "agent", "created")
        wait_until(lambda: len(heard.messages) == 3)
    finally:
        listener.stop()
    assert heard.messages == [
        ("agent:doorbell", "trouble"),
        ("agent:wake:analysis", ""),
        ("agent:doorbell", "created"),
    ]
    assert not listener.is_alive()


def test_a_listener_survives_an_outage(own_redis: RedisServer) -> None:
    """It knows that it is not connected, and hears again once Redis is back."""
    heard = Heard()
    with own_redis.connect() as client:
        listener = Listener(client, [doorbell_channel("agent")], heard)
        listener.start()
        assert listener.wait_until_connected(5)
        own_redis.stop()
        wait_until(lambda: not listener.connected)
        own_redis.start()
        assert listener.wait_until_connected(10)
        ring(client, "agent", "back")
        wait_until(lambda: heard.messages == [("agent:doorbell", "back")])
        listener.stop()


def test_a_listener_stops_at_once_even_while_redis_is_away(own_redis: RedisServer) -> None:
    """Neither a silent channel nor the pause between two tries holds up an orderly end."""
    own_redis.stop()
    with own_redis.connect() as client:
        listener = Listener(client, [doorbell_channel("agent")], Heard())
        listener.start()
        wait_until(lambda: threading.active_count() > 1)
        began = time.monotonic()
        listener.stop()
        assert time.monotonic() - began < 1
        assert not listener.is_alive()


def test_the_queues_of_a_real_broker_are_read(
    client: redis.Redis, redis_server: RedisServer
) -> None:
    """What Dramatiq waits to give, has given and has buried."""
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        url=redis_server.url, namespace="dramatiq"
    )
    broker.declare_queue("analysis")
    for _ in range(5):
        broker.enqueue(
            dramatiq.Message(
                queue_name="analysis", actor_name="analysis", args=(), kwargs={}, options={}
            )
        )
    consumer = broker.consume("analysis", prefetch=3, timeout=100)
    fetched = [message for message in (next(consumer) for _ in range(3)) if message is not None]
    assert len(fetched) == 3
    consumer.nack(fetched[0])
    consumer.ack(fetched[1])
    assert read_queues(client, "dramatiq", ["analysis", "generative"]) == {
        "analysis": QueueView(ready=2, in_progress=1, dead=1),
        "generative": QueueView(0, 0, 0),
    }
    consumer.close()
    broker.close()
