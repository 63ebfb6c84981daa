"""Sweep: what waits past its deadline fails."""

from __future__ import annotations

from agent.logs import get_logger
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.upkeep import BATCH

log = get_logger()


def sweep(repository: MongoContextRepository) -> int:
    """Fail every waiting context whose deadline has passed; how many.

    Raises:
        StoreUnavailable: MongoDB did not answer.
    """
    total = 0
    while True:
        ids = repository.overdue()
        expired = repository.expire(ids) if ids else 0
        total += expired
        if len(ids) < BATCH or not expired:
            break
    if total:
        log.warning("contexts.expired", count=total)
    return total
