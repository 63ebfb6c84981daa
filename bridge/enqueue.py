"""Claims into the broker: all of them in as few round trips as can be."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from agent.models import Claim
from agent.projections.connection import translate_redis_errors
from agent.projections.doorbell import wake_channel
from bridge.message import build_message

BATCH = 500
"""Messages in one round trip: longer ones keep Redis from everybody else."""


def enqueue(
    client: redis.Redis, namespace: str, agent_namespace: str, queue: str, claims: Sequence[Claim]
) -> None:
    """Put one message for each claim into a queue, in their order, and wake its consumers.

    Args:
        namespace: Dramatiq's.
        agent_namespace: ours, where consumers listen.

    Raises:
        BrokerUnavailable: Redis did not answer, or refused. What was enqueued is not known, and
            nothing is undone: the leases of those that were not run out.
    """
    for start in range(0, len(claims), BATCH):
        _enqueue_batch(client, namespace, agent_namespace, queue, claims[start : start + BATCH])


def _enqueue_batch(
    client: redis.Redis, namespace: str, agent_namespace: str, queue: str, claims: Sequence[Claim]
) -> None:
    messages = dict(build_message(queue, *claim) for claim in claims)
    # a transaction, so that a Redis that is full takes both or neither, and no text lies about
    # that no list names
    with translate_redis_errors(), client.pipeline(transaction=True) as pipeline:
        pipeline.hset(f"{namespace}:{queue}.msgs", mapping=messages)  # type: ignore[arg-type]
        pipeline.rpush(f"{namespace}:{queue}", *messages)
        pipeline.publish(wake_channel(agent_namespace, queue), "")
        pipeline.execute()
