"""What Redis holds is read whole, on a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from bson import ObjectId

from agent.models import Claim
from agent.projections.connection import connect_redis
from agent.settings import Settings
from bridge.enqueue import enqueue
from tests.checker import Broker, read_broker

QUEUE = "generative"
FOREIGN = ObjectId("65f000000000000000000001")


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    client = connect_redis(settings, max_connections=2, name="test")
    yield client
    client.close()


def read(client: redis.Redis, settings: Settings, *known: str) -> Broker:
    names = settings.namespace, settings.dramatiq_namespace
    return read_broker(client, *names, lambda: known)


def test_what_never_was_is_empty(client: redis.Redis, settings: Settings) -> None:
    """And MongoDB is not asked what it has."""
    broker = read(client, settings, "ctx_1")
    assert not any((broker.waiting, broker.unacked, broker.kept, broker.dead, broker.known))


def test_messages_are_found_wherever_they_are(client: redis.Redis, settings: Settings) -> None:
    """In a queue, in the hands of a process, put aside; with the contexts that they name."""
    ours, dramatiq = settings.namespace, settings.dramatiq_namespace
    claims = [Claim("ctx_1", 1, "claim"), Claim(FOREIGN, 1, "claim")]
    enqueue(client, dramatiq, ours, QUEUE, claims)
    fetched = client.lpop(f"{dramatiq}:{QUEUE}")
    assert isinstance(fetched, str)
    client.sadd(f"{dramatiq}:__acks__.1.{QUEUE}", fetched)
    client.zadd(f"{dramatiq}:__heartbeats__", {"1": 1.0})
    client.hset(f"{dramatiq}:{QUEUE}.msgs", "bad", b"\xff")
    client.zadd(f"{dramatiq}:{QUEUE}.XQ", {"dead": 1.0})
    client.hset(f"{dramatiq}:{QUEUE}.XQ.msgs", "dead", "no message")
    client.zadd(f"{ours}:dead", {"ctx_9": 1.0})
    broker = read(client, settings, "ctx_1")
    [waiting] = broker.waiting[QUEUE]
    assert broker.unacked == {f"__acks__.1.{QUEUE}": {fetched}}
    assert broker.kept == {f"{QUEUE}.msgs": {fetched, waiting, "bad"}}
    assert broker.dead == {f"{QUEUE}.XQ": {"dead"}}
    assert sorted(broker.named[f"{QUEUE}.msgs"]) == [f"ObjectId:{FOREIGN}", "ctx_1"]
    assert broker.named["dead"] == ["ctx_9"]
    assert broker.known == ("ctx_1",)
