"""What the duty asks that has those called back who asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from agent.errors import AlreadyStored
from agent.models import Document
from agent.store.changes import Write
from agent.store.ends import COUNTED, counted
from agent.store.operations import Operations

PAGE = 500
"""Requests whose ends one question brings."""
LOOK_AHEAD = timedelta(seconds=1)
"""An end by a clock that is ahead is seen all the same."""
ENDED = {"kind": 1, "service_type": 1, "callback_url": 1, "callbacks": 1}


class Callbacks(Operations):
    """Ends of requests, and the deliveries that come of them."""

    def untold_ends(self, limit: int = PAGE) -> list[Document]:
        """Requests that have ended and of which no delivery may be stored yet; the oldest first."""
        return self._find(
            {"callbacks.at": {"$lte": self.now() + LOOK_AHEAD}, **COUNTED},
            ENDED,
            sort=[("callbacks.at", 1)],
            limit=limit,
        )

    def insert_missing(self, documents: Sequence[Document]) -> None:
        """Insert those of these that are not there yet.

        Raises:
            StoreUnavailable: MongoDB did not answer. Which were stored is open.
        """
        try:
            if documents:
                self.insert_contexts(list(documents))
        except AlreadyStored:  # by another one, or by one that died before it could say so
            for each in documents:
                with suppress(AlreadyStored):
                    self.insert_contexts([each])


def told(document: Mapping[str, Any]) -> Write:
    """A delivery is stored for each end that was read; one that came later is left."""
    return Write(
        {"_id": document["_id"], "callbacks.ends": counted(document)},
        {"$unset": {"callbacks.at": "", "callbacks.due": ""}},
    )
