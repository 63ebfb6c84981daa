"""Parents page by page."""

from __future__ import annotations

from datetime import datetime

from bson.min_key import MinKey

from agent.models import PARENT, Document, Status
from agent.store.listing import Listing, Page, Place, asked_behind, place_of

MOST = 200
WINDOW = 10_000
"""Parents that one page of a search looks through."""
LINE = {
    "kind": 1, "service_type": 1, "status": 1, "total": 1, "created_at": 1, "template.id": 1,
    "error": 1, "results.progress": 1, "started_at": 1, "completed_at": 1, "updated_at": 1,
    "deadline_at": 1, "priority": 1, "tags": 1, "template.version": 1, "expanding": 1,
    "rejected.count": 1,
}  # fmt: skip
"""Of a parent, what stands in a line."""


class Families(Listing):
    """What somebody reads through of requests of several steps, and of batches."""

    def search_parents(
        self,
        service_type: str,
        *,
        limit: int,
        status: Status | None = None,
        after: Place | None = None,
    ) -> Page:
        """The same as `page_of_parents`, but of a status that is rare no more than `WINDOW` parents
        are looked through: a page with fewer than `limit`, even none, has others behind it if it
        says so.
        """
        asked: Document = {"kind": PARENT, "service_type": service_type}
        edge = self._edge_of(asked, after, WINDOW) if status is not None else None
        found = self._parents_since(
            asked | ({} if status is None else {"status": str(status)}), limit, after, edge
        )
        if (place := place_of(found, limit)) is not None:
            return Page(found, place)
        return Page(found, None if edge is None else (edge, MinKey()))

    def page_of_parents(
        self,
        service_type: str,
        *,
        limit: int,
        status: Status | None = None,
        after: Place | None = None,
    ) -> list[Document]:
        """Parents without their payload, the newest first.

        Args:
            service_type: `REQUEST` or `BATCH`.
            after: the date and the id of the last one of the page before.
        """
        asked: Document = {"kind": PARENT, "service_type": service_type}
        if status is not None:
            asked["status"] = str(status)
        return self._parents_since(asked, min(limit, MOST), after, None)

    def _parents_since(
        self, asked: Document, limit: int, after: Place | None, edge: datetime | None
    ) -> list[Document]:
        found: list[Document] = []
        for filter, sort in asked_behind(asked, "created_at", after):
            until = filter.get("created_at", {})
            if edge is not None and isinstance(until, dict):
                filter["created_at"] = {**until, "$gte": edge}
            if len(found) < limit:
                found += self._find(filter, LINE, sort=sort, limit=limit - len(found))
        return found
