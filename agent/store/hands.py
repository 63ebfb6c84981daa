"""What workers that fell silent had in hand, and where it is now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.models import Document, Status
from agent.store.base import Store
from agent.store.upkeep import FIRST_DATE

SEEN = {
    "service_type": 1, "status": 1, "wait_reason": 1, "available_at": 1, "completed_at": 1,
    "processed_by": 1, "lease.owner": 1, "lease.expires_at": 1,
}  # fmt: skip


class Hands(Store):
    """What people ask about workers."""

    def held_by(self, owners: Sequence[str], limit: int) -> list[Document]:
        """What MongoDB still shows in the hands of these: so many at most.

        As rescue does, it looks through what is processing, which is bounded by the limits of the
        services.
        """
        if not owners:
            return []
        return self._find(
            {
                "status": str(Status.PROCESSING),
                # parents have no time, so the index leaves them out, however many are open
                "available_at": {"$gte": FIRST_DATE},
                "lease.owner": {"$in": list(owners)},
            },
            SEEN,
            limit=limit,
        )

    def fates_of(self, ids: Sequence[Any]) -> list[Document]:
        """Where these are now; those that are gone are left out."""
        return self._find({"_id": {"$in": list(ids)}}, SEEN) if ids else []
