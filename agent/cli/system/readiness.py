"""Whether the system works: a bridge leads, and every service type has a living worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import timedelta

import redis

from agent.errors import AgentError
from agent.projections.presence import Presence, threads_by_service
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository

LOOK_SECONDS = 0.1


def missing_parts(
    settings: Settings,
    repository: MongoContextRepository,
    client: redis.Redis,
    services: Iterable[str],
) -> list[str]:
    """What is not there yet, in words; empty when all of it works.

    Raises:
        StoreUnavailable, BrokerUnavailable: a server did not answer.
    """
    threads = threads_by_service(Presence(client, settings.namespace).live())
    missing = [f"a worker for {name}" for name in services if not threads.get(name)]
    return missing if repository.leader() is not None else [*missing, "a bridge that leads"]


def wait_until_ready(
    settings: Settings,
    repository: MongoContextRepository,
    client: redis.Redis,
    *,
    timeout: timedelta,
) -> list[str]:
    """Wait until the system works, so long at most; what is still missing then."""
    deadline = time.monotonic() + timeout.total_seconds()
    services = list(settings.registry)
    while True:
        try:
            missing = missing_parts(settings, repository, client, services)
        except AgentError as exc:
            missing = [str(exc)]
        if not missing or time.monotonic() > deadline:
            return missing
        threading.Event().wait(LOOK_SECONDS)
