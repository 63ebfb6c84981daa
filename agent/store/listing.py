"""Contexts page by page, the newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agent.models import Document
from agent.store.operations import WITHOUT_PAYLOAD, Operations
from agent.store.selection import Selection

BY_AGE = [("created_at", -1), ("_id", -1)]


class Listing(Operations):
    """What somebody reads through."""

    def page_of_contexts(
        self, selection: Selection, *, limit: int, after: tuple[datetime, Any] | None = None
    ) -> list[Document]:
        """Contexts without their payload: so many at most.

        What has no date of creation is a document of another program that was not adopted yet; it
        comes last, and on a first page only.

        Args:
            selection: its times are those of `created_at`.
            after: the date and the id of the last one of the page before.

        Raises:
            StoreUnavailable: MongoDB did not answer, or not in time.
        """
        filter = selection.filter(since_field="created_at")
        if after is None:
            return self._find(filter, WITHOUT_PAYLOAD, sort=BY_AGE, limit=limit)
        created_at, context_id = after
        alike = {**filter, "created_at": {"$eq": created_at}, "_id": {"$lt": context_id}}
        found: list[Document] = []
        if selection.since is None or selection.since <= created_at:
            found = self._find(alike, WITHOUT_PAYLOAD, sort=[("_id", -1)], limit=limit)
        if len(found) < limit:
            times = filter.get("created_at", {})
            until = {key: value for key, value in times.items() if key != "$not"}
            older = {**filter, "created_at": {**until, "$lt": created_at}}
            found += self._find(older, WITHOUT_PAYLOAD, sort=BY_AGE, limit=limit - len(found))
        return found
