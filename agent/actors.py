"""The door for `dramatiq agent.actors`: importing it makes the broker and declares the actors.

The one module whose import has effects. Dramatiq imports it in each worker process, after the fork;
no connection is made before that process has booted.
"""

from __future__ import annotations

import os
import socket
from uuid import uuid4

import dramatiq

from actors.broker import AgentBroker, make_broker
from actors.middleware.boot import Boot, refuse
from actors.middleware.dead_letters import DeadLetters
from actors.middleware.drain import Drain
from actors.middleware.presence import Beat
from actors.middleware.wake import Wake
from actors.run import declare_actors
from agent.errors import ConfigurationError
from agent.logs import configure_logging
from agent.settings import load_settings
from agent.workers.carrier import Carrier


def _make() -> AgentBroker:
    settings = load_settings()
    configure_logging(settings)
    registry = settings.registry
    worker_id = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    def step_ended() -> None:
        broker.settle_bell.ring()

    made = Carrier(settings, worker_id, on_step_end=step_ended)

    def carrier() -> Carrier:
        return made

    # before a shutdown they are called in this order, after it in reverse: the last beat and the
    # last counts come before the carrier closes
    middleware = [
        Boot(carrier, registry), Drain(carrier), Beat(carrier, registry, worker_id),
        Wake(), DeadLetters()
    ]  # fmt: skip
    broker = make_broker(settings, middleware)
    dramatiq.set_broker(broker)
    declare_actors(broker, registry, carrier)
    return broker


try:
    broker = _make()
except ConfigurationError as exc:
    refuse(exc)
