"""News of inserts from a change stream, where the server has them."""

from __future__ import annotations

from collections.abc import Callable

from pymongo.read_concern import ReadConcern

from agent.errors import StoreError
from agent.models import Document
from agent.store.base import Store
from agent.store.connection import is_unsupported, translated

AWAIT_MS = 10_000
"""How long the server waits for news before it says that there is none: a question each time."""


class Watch(Store):
    """The change stream of the contexts."""

    def watch_inserts(self, on_insert: Callable[[bool], None], ends: Callable[[], bool]) -> bool:
        """Call back at every insert of a context, until it ends or the stream breaks.

        The callback gets whether the document is another program's, which has no fence.

        Whoever watches also looks by itself, so nothing is raised.

        Returns:
            False if the server has no change streams, so that asking again makes no sense.
        """
        # a change stream tells what a majority has, and refuses the read concern of the rest
        contexts = self.contexts.with_options(read_concern=ReadConcern("majority"))
        only_inserts: list[Document] = [
            {"$match": {"operationType": "insert"}},
            {"$project": {"fullDocument.fence": 1}},
        ]
        try:
            with (
                translated(),
                contexts.watch(only_inserts, max_await_time_ms=AWAIT_MS) as stream,
            ):
                on_insert(True)  # what came while nobody watched
                while stream.alive and not ends():
                    change = stream.try_next()
                    if change is not None:
                        on_insert("fence" not in (change.get("fullDocument") or {}))
        except StoreError as exc:
            return not is_unsupported(exc)
        return True
