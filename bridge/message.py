"""The message that asks an actor for one context, as Dramatiq's Redis broker would store it.

Built by the names of queue and actor, which are the same word, so that the bridge needs no actor.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from dramatiq import Message

from agent.store.ejson import encode_id


def build_message(queue: str, context_id: object, fence: int, claim_id: str) -> tuple[str, bytes]:
    """The message's id in Redis, and its bytes. It carries ids only: no payload, no secret."""
    redis_message_id = str(uuid4())
    message: Message[Any] = Message(
        queue_name=queue,
        actor_name=queue,
        args=(encode_id(context_id), fence, claim_id),
        kwargs={},
        options={"redis_message_id": redis_message_id},
    )
    return redis_message_id, message.encode()
