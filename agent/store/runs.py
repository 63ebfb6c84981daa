"""What a worker asks while it holds a context: start, renew, write back, release."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from typing import Any

from agent.models import Claim, Document, Status
from agent.store import changes
from agent.store.base import Store
from agent.store.changes import Hold, Write

HELD = {"fence": 1, "status": 1, "wait_reason": 1, "lease.token": 1, "attempts.token": 1}


class Fate(Enum):
    """What became of a guarded write whose reply got lost, or that matched nothing."""

    APPLIED = "applied"
    HELD = "held"
    """The context is still ours, so the write did not take place: it may be sent again."""
    LOST = "lost"
    """Somebody else has moved the context on: stale."""


class Runs(Store):
    """One context in the hands of one worker."""

    def start(self, claim: Claim, *, owner: str, token: str, lease: timedelta) -> Document | None:
        """Begin a claimed context: attempt + 1, unless it is a poll.

        Returns:
            The document, or None when the claim is stale.
        """
        self._write(self.start_write(claim, owner=owner, token=token, lease=lease))
        return self.started(claim, token)

    def start_write(self, claim: Claim, *, owner: str, token: str, lease: timedelta) -> Write:
        """The write of `start`, for a group of them."""
        return changes.start(self.now(), claim, owner=owner, token=token, lease=lease)

    def started(self, claim: Claim, token: str) -> Document | None:
        """The document of a context that was started under this token; None when it was not."""
        document = self._find_one({"_id": claim.context_id})
        return document if is_started(document, claim.fence, token) else None

    def write_back(self, write: Write) -> bool:
        """Do one guarded write of a worker; whether it took place."""
        return self._write(write)

    def find_by_ids(self, ids: Sequence[Any]) -> list[Document]:
        """The whole documents of these ids, in any order."""
        return self._find({"_id": {"$in": list(ids)}})

    def fate(self, hold: Hold, *, leaves_attempt: bool = True) -> Fate:
        """What became of the last write for this hold.

        Args:
            leaves_attempt: whether that write records an attempt, as all do but release and poll.
        """
        document = self._find_one({"_id": hold.context_id}, HELD)
        return fate_of(document, hold, leaves_attempt=leaves_attempt)

    def renew(self, holds: Sequence[Hold], lease: timedelta) -> list[Hold]:
        """Renew the leases of these runs in one update; those that are no longer theirs."""
        if not holds:
            return []
        now = self.now()
        tokens = [hold.token for hold in holds]
        mine: Document = {
            "_id": {"$in": [hold.context_id for hold in holds]},
            "lease.token": {"$in": tokens},
            "status": str(Status.PROCESSING),
        }
        renewed = self._write_many(
            Write(mine, {"$set": {"lease.expires_at": now + lease, "updated_at": now}})
        )
        if renewed == len(holds):
            return []
        kept = {found["lease"]["token"] for found in self._find(mine, {"lease.token": 1})}
        return [hold for hold in holds if hold.token not in kept]

    def release_queued(self, claim: Claim) -> bool:
        """Hand back what was claimed and not started."""
        return self._write(changes.release_queued(self.now(), claim))

    def hand_over(self, claim: Claim, token: str | None) -> bool:
        """Leave to adoption what another program has spoilt.

        Args:
            token: that of its start; None where MongoDB refused that.
        """
        return self._write(changes.hand_over(self.now(), claim, token))


def is_started(document: Document | None, fence: int, token: str) -> bool:
    """Whether the document is processing under this token."""
    return (
        document is not None
        and document.get("fence") == fence
        and document.get("status") == Status.PROCESSING
        and token_of(document) == token
    )


def token_of(document: Document) -> Any:
    """The token of its lease; None where another program has overwritten that."""
    lease = document.get("lease")
    return lease.get("token") if isinstance(lease, dict) else None


def fate_of(document: Document | None, hold: Hold, *, leaves_attempt: bool) -> Fate:
    """What became of the write of a hold, by the document as it is now."""
    if document is None:
        return Fate.LOST
    if is_started(document, hold.fence, hold.token):
        return Fate.HELD
    attempts: list[Any] = document.get("attempts") or []
    if any(isinstance(entry, dict) and entry.get("token") == hold.token for entry in attempts):
        return Fate.APPLIED
    if leaves_attempt or document.get("fence") != hold.fence:
        return Fate.LOST
    # a poll or a release leaves none behind, but the context where its holder puts it
    put_back = document.get("status") == Status.PENDING or document.get("wait_reason") == "poll"
    return Fate.APPLIED if put_back else Fate.LOST
