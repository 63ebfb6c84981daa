"""What the views in Redis are corrected by: what is to be tried again, what failed, what waits.

Each question reads so many documents at most, through an index, and of each only what a view says.
"""

from __future__ import annotations

from typing import Any

from agent.models import IN_FLIGHT, Document, Status, WaitReason
from agent.store.base import Store

AGAIN: Document = {
    "wait_reason": {"$in": [str(WaitReason.RETRY), str(WaitReason.SNOOZE), str(WaitReason.CRASH)]}
}
FAILED: Document = {"status": str(Status.FAILED), "kind": {"$ne": "parent"}}
WAITING = (Status.PENDING, Status.SCHEDULED, *sorted(IN_FLIGHT))

VIEWED = {
    "kind": 1, "service_type": 1, "status": 1, "wait_reason": 1, "available_at": 1,
    "completed_at": 1, "attempt": 1, "failures": 1, "max_attempts": 1, "template.id": 1, "tags": 1,
    "error.type": 1, "error.message": 1, "error.fingerprint": 1, "error.status_code": 1,
}  # fmt: skip
LAST_ATTEMPT: Document = {"attempts": {"$slice": -1}}
ENDED = {
    "kind": 1, "service_type": 1, "status": 1, "completed_at": 1, "attempts.finished_at": 1,
    "attempts.outcome": 1, "attempts.duration_ms": 1, "attempts.definite": 1,
    "attempts.error.type": 1, "attempts.error.status_code": 1, "attempts.error.fingerprint": 1,
}  # fmt: skip

COUNTED = 100_000
"""Beyond the documents that are read so many are counted."""
MOST_WAITING = 1_000_000


class Viewed(Store):
    """What the bridge asks to keep the views true."""

    def to_be_tried_again(self, limit: int) -> list[Document]:
        """Scheduled contexts that were tried before, the next first, with their last attempt."""
        return self._find(
            {**AGAIN, "status": str(Status.SCHEDULED)},
            {**VIEWED, **LAST_ATTEMPT},
            sort=[("available_at", 1)],
            limit=limit,
            hint="again",
            batch=limit,
        )

    def newest_failures(self, limit: int) -> list[Document]:
        """Contexts that failed, the newest first."""
        return self._find(
            FAILED, VIEWED, sort=[("completed_at", -1)], limit=limit, hint="failed", batch=limit
        )

    def count_again(self, up_to: int = COUNTED) -> int:
        """How many there are to be tried again; no more than `up_to` are counted."""
        return self._count_up_to(AGAIN, up_to, "again")

    def count_failures(self, up_to: int = COUNTED) -> int:
        """How many have failed; no more than `up_to` are counted."""
        return self._count_up_to({"status": str(Status.FAILED)}, up_to, "failed")

    def count_waiting(self) -> dict[str, dict[str, int]]:
        """How many contexts each service has that wait or are in flight, by status. What is final
        is not read, however many there are."""
        rows = self._aggregate(
            [
                {"$match": {
                    "service_type": {"$in": list(self.settings.registry)},
                    "status": {"$in": [str(status) for status in WAITING]},
                }},
                {"$limit": MOST_WAITING},
                {"$group": {
                    "_id": {"service": "$service_type", "status": "$status"}, "count": {"$sum": 1}
                }},
            ],
            hint="by_service",
        )  # fmt: skip
        counts: dict[str, dict[str, int]] = {}
        for row in rows:
            key = row["_id"]
            counts.setdefault(str(key["service"]), {})[str(key["status"])] = row["count"]
        return counts

    def newest_ended(self, limit: int) -> list[Document]:
        """The attempts and the ends of the contexts that were made last."""
        return self._find({}, ENDED, sort=[("created_at", -1)], limit=limit, batch=limit)

    def _count_up_to(self, filter: Document, up_to: int, index: str) -> int:
        found: list[Any] = self._aggregate(
            [{"$match": filter}, {"$limit": up_to}, {"$count": "n"}], hint=index
        )
        return int(found[0]["n"]) if found else 0
