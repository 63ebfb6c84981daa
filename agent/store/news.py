"""What those who listen ask: the states of some contexts, and news of which have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pymongo.read_concern import ReadConcern

from agent.errors import StoreError
from agent.models import Document
from agent.store.base import Store
from agent.store.connection import is_unsupported, translated

STATE = {
    "_id": 1, "kind": 1, "status": 1, "step": 1, "attempt": 1, "updated_at": 1,
    "results.progress": 1, "error.type": 1, "error.message": 1,
    "service_type": 1, "wait_reason": 1, "available_at": 1,
}  # fmt: skip
"""As much of a context as is told to those who listen."""
AWAIT_MS = 500
"""How long the server waits for news before it is asked whether anybody still listens."""
PAGE = 500
PAGES_SHOW = ["contexts", "services", "schedules", "audit", "audit_outcomes"]
"""Collections whose changes a page of the dashboard may show."""


class News(Store):
    """What listeners are told of."""

    def states_of(self, ids: Sequence[Any]) -> list[Document]:
        """The states of those of these that are there."""
        found: list[Document] = []
        for start in range(0, len(ids), PAGE):
            found += self._find({"_id": {"$in": list(ids[start : start + PAGE])}}, STATE)
        return found

    def watch_changes(self, on_change: Callable[[Any], None], ends: Callable[[], bool]) -> bool:
        """Call back with the id of every context that is inserted or changed, until it ends or the
        stream breaks.

        Whoever watches also looks by itself, so nothing is raised.

        Returns:
            False if the server has no change streams, so that asking again makes no sense.
        """
        contexts = self.contexts.with_options(read_concern=ReadConcern("majority"))
        only: list[Document] = [
            {"$match": {"operationType": {"$in": ["insert", "update", "replace"]}}},
            {"$project": {"documentKey": 1}},
        ]
        try:
            with translated(), contexts.watch(only, max_await_time_ms=AWAIT_MS) as stream:
                while stream.alive and not ends():
                    change = stream.try_next()
                    if change is not None:
                        on_change(change["documentKey"]["_id"])
        except StoreError as exc:
            return not is_unsupported(exc)
        return True

    def wait_for_change(self, on_open: Callable[[], None], ends: Callable[[], bool]) -> bool | None:
        """Wait until anything changes that pages show: one change is enough, and no more are read.

        Args:
            on_open: called once changes are looked for; what came before nobody has seen.
            ends: asked twice a second whether anybody still waits.

        Returns:
            Whether something changed; None if the server has no change streams.

        Raises:
            StoreUnavailable: MongoDB did not answer.
        """
        database = self.database.with_options(read_concern=ReadConcern("majority"))
        kinds = ["insert", "update", "replace", "delete"]
        only: list[Document] = [
            {"$match": {"ns.coll": {"$in": PAGES_SHOW}, "operationType": {"$in": kinds}}},
            {"$project": {"documentKey": 1}},
        ]
        try:
            with (
                translated(),
                database.watch(only, max_await_time_ms=AWAIT_MS, batch_size=1) as stream,
            ):
                on_open()
                while stream.alive and not ends():
                    if stream.try_next() is not None:
                        return True
        except StoreError as exc:
            if is_unsupported(exc):
                return None
            raise
        return False
