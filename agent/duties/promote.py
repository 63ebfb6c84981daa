"""Promote: what was scheduled and is due becomes pending."""

from __future__ import annotations

from datetime import datetime

from agent.logs import get_logger
from agent.store.mongo_context_repository import MongoContextRepository

log = get_logger()


def promote(repository: MongoContextRepository) -> datetime | None:
    """Make every scheduled context that is due pending; when the next one will be.

    Raises:
        StoreUnavailable: MongoDB did not answer.
    """
    promoted = repository.promote()
    if promoted:
        log.debug("contexts.promoted", count=promoted)
    return repository.next_due()
