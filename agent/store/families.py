"""Parents page by page."""

from __future__ import annotations

from agent.models import PARENT, Document, Status
from agent.store.base import Store
from agent.store.listing import Place, asked_behind

MOST = 200
LINE = {
    "kind": 1, "service_type": 1, "status": 1, "total": 1, "created_at": 1, "template.id": 1,
    "error": 1, "results.progress": 1, "started_at": 1, "completed_at": 1, "updated_at": 1,
    "deadline_at": 1, "priority": 1, "tags": 1, "template.version": 1, "expanding": 1,
    "rejected.count": 1,
}  # fmt: skip
"""Of a parent, what stands in a line."""


class Families(Store):
    """What somebody reads through of requests of several steps, and of batches."""

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
        limit, found = min(limit, MOST), list[Document]()
        for filter, sort in asked_behind(asked, "created_at", after):
            if len(found) < limit:
                found += self._find(filter, LINE, sort=sort, limit=limit - len(found))
        return found
