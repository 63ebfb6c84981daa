"""One actor for each service type: it hands what its message names to the carrier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import dramatiq

from actors.broker import AgentBroker
from actors.carrier import CarrierFactory
from agent.logs import get_logger
from agent.services import ServiceRegistry
from agent.store.ejson import decode_id

log = get_logger()


class Order(NamedTuple):
    """What a message asks for."""

    context_id: Any
    fence: int
    claim_id: str


def declare_actors(
    broker: AgentBroker, registry: ServiceRegistry, carrier_factory: CarrierFactory
) -> None:
    """Declare an actor for each service type, named like its queue.

    MongoDB alone owns attempts, so Dramatiq retries nothing.
    """
    for service in registry.values():
        declare = dramatiq.actor(
            actor_name=service.queue,
            queue_name=service.queue,
            broker=broker,
            max_retries=0,
        )
        declare(_run(service.name, carrier_factory))


def read_order(*args: Any, **kwargs: Any) -> Order:
    """The order that a message's arguments make.

    Raises:
        ValueError: they are not an id, a fence and a claim's id.
    """
    if kwargs or len(args) != 3:
        raise ValueError("expected context_id, fence and claim_id")
    context_id, fence, claim_id = args
    if not isinstance(fence, int) or isinstance(fence, bool) or not isinstance(claim_id, str):
        raise ValueError("fence must be an integer and claim_id a string")
    return Order(decode_id(context_id), fence, claim_id)


def _run(service_type: str, carrier_factory: CarrierFactory) -> Callable[..., None]:
    def run(*args: Any, **kwargs: Any) -> None:
        """Carry out the context, or drop a message that makes no sense: its lease runs out."""
        try:
            order = read_order(*args, **kwargs)
        except ValueError as exc:
            log.error("message.bad_arguments", service_type=service_type, error=str(exc))
            return
        carrier_factory().run(service_type, *order)

    return run
