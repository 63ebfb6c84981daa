"""Expand: the rows of a batch become its items, chunk by chunk.

Each chunk becomes contexts in one transaction with the parent's word that it has. So any number of
processes may expand at once, each may die anywhere, and no row becomes two items.
"""

from __future__ import annotations

import threading
import time

from agent.errors import AgentError, StoreUnavailable
from agent.intake.items import ItemTerms, documents_of
from agent.logs import get_logger
from agent.models import Document, context_key
from agent.store.mongo_context_repository import MongoContextRepository

LOOK_SECONDS = 12.0
"""Who stores a batch rings; this is for rings that get lost."""
AT_ONCE = 5
"""Batches in turn, a chunk of each: a small one does not wait for a large one's end."""
LONGEST_RUN_SECONDS = 10.0
"""What is left then is for the next run."""

log = get_logger()


class Expand:
    """Expands what there is. While there is nothing, it asks once in `LOOK_SECONDS`."""

    def __init__(self, repository: MongoContextRepository) -> None:
        self._repository = repository
        self._look_at = float("-inf")
        self._rung = threading.Event()

    def look_again(self) -> None:
        """There is a new batch; any thread may say so."""
        self._rung.set()

    def run(self) -> int:
        """Expand, within bounds; how many chunks became contexts.

        Raises:
            StoreUnavailable: MongoDB did not answer; the next run goes on.
        """
        if not self._rung.is_set() and time.monotonic() < self._look_at:
            return 0
        self._rung.clear()
        self._look_at = float("-inf")
        until = time.monotonic() + LONGEST_RUN_SECONDS
        expanded = 0
        while time.monotonic() < until:
            done = sum(map(self._expand, self._repository.expanding_batches(AT_ONCE)))
            if not done:  # there are none, others are at them, or nothing helps
                self._look_at = time.monotonic() + LOOK_SECONDS
                break
            expanded += done
        return expanded

    def _expand(self, batch: Document) -> bool:
        """Make items of the next chunk, or give a batch up that nothing can be made of; whether
        that was done."""
        try:
            return self._next_chunk(batch)
        except StoreUnavailable:
            raise
        except (AgentError, KeyError, TypeError, ValueError) as exc:
            key = context_key(batch["_id"])
            log.error("batch.unreadable", context_id=key, error=str(exc))
            return self._repository.give_up_expanding(batch)

    def _next_chunk(self, batch: Document) -> bool:
        expanding, now = batch["expanding"], self._repository.now()
        rows = self._repository.rows_of_chunk(expanding["upload"], expanding["next"])
        if rows is None:
            return self._is_behind(batch)
        documents = documents_of(
            batch["_id"], ItemTerms.of(batch["batch"]), rows, now,
            held_back=bool(batch.get("cancelling")),
        )  # fmt: skip
        stored = self._repository.store_items(batch, documents)
        if stored and expanding["next"] + 1 >= expanding["chunks"]:
            log.info("batch.expanded", context_id=context_key(batch["_id"]))
        return stored

    def _is_behind(self, batch: Document) -> bool:
        """Somebody else made items of this chunk meanwhile; or its rows are lost.

        Raises:
            ValueError: they are lost.
        """
        found = self._repository.find_batch(batch["_id"])
        if (found.get("expanding") or {}).get("next") == batch["expanding"]["next"]:
            raise ValueError(f"the rows of chunk {batch['expanding']['next']} are gone")
        return False
