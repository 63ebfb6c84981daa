"""The Dramatiq queues seen from outside."""

import redis

from agent.projections.broker_view import QueueView, read_queues


def test_waiting_fetched_and_dead_messages_are_counted_by_queue(client: redis.Redis) -> None:
    """Fetched ones are summed over all brokers, and queues do not mix."""
    client.zadd("dramatiq:__heartbeats__", {"b1": 1, "b2": 2})
    client.rpush("dramatiq:analysis", "m1", "m2")
    client.sadd("dramatiq:__acks__.b1.analysis", "m3")
    client.sadd("dramatiq:__acks__.b2.analysis", "m4", "m5")
    client.sadd("dramatiq:__acks__.b2.generative", "m6")
    client.zadd("dramatiq:analysis.XQ", {"m7": 1})
    assert {"analysis": QueueView(2, 3, 1), "generative": QueueView(0, 1, 0)} == read_queues(
        client, "dramatiq", ["analysis", "generative"]
    )


def test_queues_that_do_not_exist_are_empty(client: redis.Redis) -> None:
    """Before the first message there is nothing, and no error."""
    assert {"analysis": QueueView(0, 0, 0)} == read_queues(client, "x.dramatiq", ["analysis"])
