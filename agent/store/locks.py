"""The leader lease of the bridges, in the collection `agent_locks`."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from agent.errors import AlreadyStored
from agent.models import Document
from agent.store.base import Store
from agent.store.connection import translated

BRIDGE = "bridge"


class Lead(Enum):
    """Whether this process leads, and how it came to it."""

    FOLLOWS = "follows"
    LEADS = "leads"
    TOOK_OVER = "took over"
    """It began to lead now, and nobody had handed the lead over."""
    BEGAN = "began"
    """It began to lead now; there was no leader, or the last one gave the lead up."""


class Locks(Store):
    """Who leads."""

    def lead(self, owner: str, lease: timedelta) -> Lead:
        """Keep the lead, or take it if it is free.

        Raises:
            StoreUnavailable: MongoDB did not answer: then nobody should act as the leader once
                the lease has run out.
        """
        now = self.now()
        held: Document = {"owner": owner, "expires_at": now + lease}
        try:
            return self._lead(owner, held, now)
        except AlreadyStored:
            return Lead.FOLLOWS

    def _lead(self, owner: str, held: Document, now: datetime) -> Lead:
        locks = self.database["agent_locks"]
        with translated():
            mine = {"_id": BRIDGE, "owner": owner}
            if locks.update_one(mine, {"$set": held}).matched_count:
                return Lead.LEADS
            expired = {"_id": BRIDGE, "expires_at": {"$lte": now}}
            since = {**held, "since": now}
            if locks.update_one(expired, {"$set": since}).matched_count:
                return Lead.TOOK_OVER
            if locks.find_one({"_id": BRIDGE}, {"_id": 1}) is not None:
                return Lead.FOLLOWS
            locks.insert_one({"_id": BRIDGE, **since})
        return Lead.BEGAN

    def give_up_lead(self, owner: str) -> None:
        """Let the next one lead at once."""
        with translated():
            self.database["agent_locks"].delete_one({"_id": BRIDGE, "owner": owner})

    def leader(self) -> Document | None:
        """The bridge that leads now (`owner`, `since`, `expires_at`), or None."""
        with translated():
            return self.database["agent_locks"].find_one(
                {"_id": BRIDGE, "expires_at": {"$gt": self.now()}}
            )
