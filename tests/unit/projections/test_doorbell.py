"""Rings and wakes, as far as a Redis in memory shows them."""

import redis

from agent.projections.doorbell import Listener, doorbell_channel, ring, wake, wake_channel


def test_a_ring_never_fails_its_caller() -> None:
    """With Redis away it is only said that nobody heard it."""
    away = redis.Redis(host="127.0.0.1", port=1, retry=None)  # type: ignore[arg-type]
    assert not ring(away, "agent")


def test_a_wake_on_a_pipeline_goes_out_with_it(client: redis.Redis) -> None:
    """The consumers are woken after the messages are there, in the same round trip."""
    with client.pipeline() as pipeline:
        pipeline.rpush("dramatiq:generative", "m")
        wake(pipeline, "agent", "generative")
        assert len(pipeline) == 2
        assert pipeline.execute() == [1, 0]


def test_each_namespace_and_queue_has_its_channel() -> None:
    """Two systems on one Redis do not ring each other."""
    assert doorbell_channel("other") == "other:doorbell"
    assert wake_channel("agent", "generative") == "agent:wake:generative"


def test_stopping_a_listener_that_never_started_does_no_harm(client: redis.Redis) -> None:
    """An orderly end may come before the start."""
    Listener(client, ["c"], lambda *_: None).stop()
