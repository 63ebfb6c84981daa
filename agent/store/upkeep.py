"""What the duties ask: what is due, what ran out, what other programs inserted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.errors import NotStorable
from agent.models import (
    IN_FLIGHT,
    TRANSITIONS,
    AttemptRecord,
    Change,
    Document,
    ErrorRecord,
    Status,
)
from agent.store import changes
from agent.store.base import Store, ids_of
from agent.store.changes import Write
from agent.store.marks import left_by
from agent.store.retention import DECISIVE

BATCH = 500
"""Documents that one write of a duty changes, so that none of them holds the server up."""

FIRST_DATE = datetime(1, 1, 1, tzinfo=UTC)

LEASE_FIELDS = {
    "_id": 1, "status": 1, "attempt": 1, "crashes": 1, "lease": 1, "started_at": 1, "remote": 1,
    "kind": 1, "callbacks.ends": 1, **DECISIVE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """What one cheap question tells: whether anything is pending, and when the next is due."""

    pending: bool
    next_due: datetime | None
    """Of the scheduled ones; not known while something is pending."""


class Upkeep(Store):
    """The writes that keep the store true, and the reads that find what they concern."""

    def look(self) -> Look:
        """Whether any duty has work. In the order of the index, `pending` comes first."""
        found = self._find(
            {"status": {"$in": [str(Status.PENDING), str(Status.SCHEDULED)]}},
            {"status": 1, "available_at": 1},
            sort=[("status", 1), ("available_at", 1)],
            limit=1,
        )
        if not found:
            return Look(pending=False, next_due=None)
        if found[0]["status"] != Status.SCHEDULED:
            return Look(pending=True, next_due=None)
        return Look(False, _date(found[0].get("available_at")) or self.next_due())

    def next_due(self) -> datetime | None:
        """When the next scheduled context is due. What is no date comes first in an index."""
        found = self._find(
            {"status": str(Status.SCHEDULED), "available_at": {"$gte": FIRST_DATE}},
            {"available_at": 1},
            sort=[("available_at", 1)],
            limit=1,
        )
        return _date(found[0].get("available_at")) if found else None

    def promote(self) -> int:
        """Make every scheduled context that is due pending; how many."""
        return self._promote(changes.promote)

    def promote_undated(self) -> int:
        """Make what waits for something that is no date pending, so that it is adopted anew."""
        return self._promote(changes.promote_undated)

    def _promote(self, change: Callable[[datetime], Write]) -> int:
        total = 0
        while True:
            write = change(self.now())
            ids = ids_of(self._find(write.filter, {"_id": 1}, limit=BATCH))
            if ids:
                total += self._write_many(
                    write._replace(filter={"_id": {"$in": ids}, **write.filter})
                )
            if len(ids) < BATCH:
                return total

    def expired_leases(self, limit: int = BATCH) -> list[Document]:
        """Contexts in flight whose lease has run out."""
        statuses = sorted(map(str, IN_FLIGHT))
        return self._find(
            {"status": {"$in": statuses}, "lease.expires_at": {"$lte": self.now()}},
            LEASE_FIELDS,
            limit=limit,
        )

    def without_lease(self, limit: int = BATCH) -> list[Document]:
        """Contexts in flight that have no lease that could run out: they count as expired."""
        statuses = sorted(map(str, IN_FLIGHT))
        return [
            document
            for reason in changes.LEASELESS
            for document in self._find(
                {"status": {"$in": statuses}, **changes.NO_PARENT, **reason},
                LEASE_FIELDS,
                limit=limit,
            )
        ]

    def rescue_queued(self, document: Document) -> bool:
        """Make a queued context whose lease ran out pending again."""
        return self._write(changes.rescue_queued(self.now(), document))

    def rescue_processing(
        self, document: Document, *, delay: timedelta, attempt: AttemptRecord
    ) -> bool:
        """Schedule a context whose worker vanished for another start."""
        now = self.now()
        return self._write(
            changes.rescue_processing(now, document, available_at=now + delay, attempt=attempt)
        )

    def rescue_fail(
        self, document: Document, *, error: ErrorRecord, attempt: AttemptRecord | None
    ) -> bool:
        """Give up a context whose worker vanished."""
        now = self.now()
        write = changes.rescue_fail(now, document, error=error, attempt=attempt)
        return self._write(self.retention.kept(document, write, now))

    def overdue(self, limit: int = BATCH) -> list[Any]:
        """The ids of waiting contexts whose deadline has passed."""
        statuses = sorted(map(str, TRANSITIONS[Change.EXPIRE].sources))
        # the type as well: by the date alone the partial index would not serve
        deadline = {"$type": "date", "$lte": self.now()}
        filter = {"status": {"$in": statuses}, "deadline_at": deadline}
        return ids_of(self._find(filter, {"_id": 1}, limit=limit))

    def expire(self, ids: Sequence[Any]) -> int:
        """Fail those of these whose deadline has passed before they ran; how many."""
        now = self.now()
        found = self._find({"_id": {"$in": list(ids)}}, {**DECISIVE, "callbacks.ends": 1})
        changed, _ = self._write_batch([self._expiry(now, document) for document in found])
        return changed

    def _expiry(self, now: datetime, document: Document) -> Write:
        write = left_by(document, changes.expire(now, document["_id"]), now)
        return self.retention.kept(document, write, now)

    def foreign(self, limit: int = 100) -> list[Any]:
        """The ids of pending documents of other programs."""
        filter: Document = {"status": str(Status.PENDING), "fence": None}
        return ids_of(self._find(filter, {"_id": 1}, limit=limit))

    def foreign_fences(self, limit: int = 100) -> list[Any]:
        """The ids of pending documents that no claim would take, whatever time it is: their fence
        is no number that one could raise, or their time no date."""
        pending = {"status": str(Status.PENDING)}
        found = [
            document
            for reason in changes.UNCLAIMABLE
            for document in self._find({**pending, **reason}, {"_id": 1}, limit=limit)
        ]
        return ids_of(found)

    def adopt(
        self, document: Document, *, read: Document, changes_: Document, originals: Document
    ) -> bool:
        """Take over another program's document, if it still is what was read."""
        return self._write(
            changes.adopt(self.now(), document, read=read, changes=changes_, originals=originals)
        )

    def adopt_fail(self, document: Document, *, read: Document, error: ErrorRecord) -> bool:
        """Say why another program's document cannot be read."""
        now = self.now()
        write = changes.adopt_fail(now, document, read=read, error=error)
        return self._write(self.retention.kept(document, write, now))

    def readable(self, ids: Sequence[Any]) -> list[tuple[Any, Document | None]]:
        """The documents of these ids; None for one that cannot be decoded, or is gone."""
        try:
            found = self._find({"_id": {"$in": list(ids)}})
        except NotStorable:
            return [(context_id, self._decoded(context_id)) for context_id in ids]
        return [(document["_id"], document) for document in found]

    def _decoded(self, context_id: Any) -> Document | None:
        try:
            return self._find_one({"_id": context_id})
        except NotStorable:
            return None


def _date(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None
