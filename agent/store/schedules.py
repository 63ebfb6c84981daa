"""The collection `schedules`: what is asked for again and again, and when it is due next.

Who fires one writes the next due time under a guard on the one that was read, and on when the
schedule was stored: a schedule that was replaced meanwhile keeps its own time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo.collection import Collection

from agent.models import Document
from agent.store.base import Store
from agent.store.connection import translated
from agent.store.upkeep import FIRST_DATE

KEPT_IDS = 10
"""Of the contexts that came of a schedule, the latest ones."""
PAGE = 100


class Schedules(Store):
    """Stored schedules; `_id` is the schedule's name."""

    @property
    def _schedules(self) -> Collection[Document]:
        return self.database["schedules"]

    def insert_schedule(self, document: Document) -> None:
        """Store a new schedule.

        Raises:
            AlreadyStored: there is one of this name.
            NotStorable: MongoDB cannot hold it.
            StoreUnavailable: MongoDB did not answer.
        """
        with translated():
            self._schedules.insert_one(document)

    def replace_schedule(self, document: Document) -> None:
        """Store a schedule, in place of the one of its name if there is one.

        Raises:
            NotStorable: MongoDB cannot hold it.
            StoreUnavailable: MongoDB did not answer.
        """
        with translated():
            self._schedules.replace_one({"_id": document["_id"]}, document, upsert=True)

    def find_schedule(self, name: str) -> Document | None:
        """The schedule of this name, or None."""
        with translated():
            return self._schedules.find_one({"_id": name})

    def list_schedules(
        self, limit: int = PAGE, *, after: str = "", brief: bool = False
    ) -> list[Document]:
        """Schedules by name, so many at most; those that come after a name.

        Args:
            brief: without their requests, each of which may be large.
        """
        fields = {"request": 0} if brief else None
        asked = {"_id": {"$gt": after}}
        with translated():
            return list(self._schedules.find(asked, fields, sort=[("_id", 1)], limit=limit))

    def upcoming_schedules(self, limit: int = PAGE) -> list[tuple[str, datetime]]:
        """The names and due times of those that are due first, none that is paused."""
        asked = {"paused": False, "next_at": {"$gte": FIRST_DATE}}
        with translated():
            found = list(
                self._schedules.find(asked, {"next_at": 1}, sort=[("next_at", 1)], limit=limit)
            )
        due = [(each["_id"], each["next_at"]) for each in found]
        return [(name, at) for name, at in due if isinstance(at, datetime)]

    def advance_schedule(
        self, read: Document, next_at: datetime | None, *, fired: Any = None, error: Any = None
    ) -> bool:
        """Write the next due time, unless somebody else has moved it since it was read.

        Args:
            fired: the id of what came of this due time; None if nothing did.
            error: why nothing came of it, where that is a mistake.
        """
        update: Document = {"$set": {"next_at": next_at, "last_error": error}}
        if fired is not None:
            self._note(update, fired)
        return self._update(
            {"_id": read["_id"], "next_at": read["next_at"], "stored_at": read["stored_at"]}, update
        )

    def note_run(self, name: str, context_id: Any) -> bool:
        """Keep that a schedule was run beside its due times."""
        update: Document = {"$set": {}}
        self._note(update, context_id)
        return self._update({"_id": name}, update)

    def _note(self, update: Document, context_id: Any) -> None:
        update["$set"]["last_fired_at"] = self.now()
        update["$inc"] = {"fired": 1}
        update["$push"] = {"last_ids": {"$each": [context_id], "$slice": -KEPT_IDS}}

    def pause_schedule(self, name: str) -> bool:
        """Have a schedule not be due; whether there is one of this name."""
        return self._update({"_id": name}, {"$set": {"paused": True}})

    def give_up_schedule(self, read: Document, error: str) -> bool:
        """Pause one that cannot be read, unless it was replaced since."""
        return self._update(
            {"_id": read["_id"], "stored_at": read.get("stored_at")},
            {"$set": {"paused": True, "last_error": error}},
        )

    def resume_schedule(self, read: Document, next_at: datetime | None) -> bool:
        """End a pause, unless the schedule has changed since it was read."""
        return self._update(
            {"_id": read["_id"], "paused": True, "stored_at": read["stored_at"]},
            {"$set": {"paused": False, "next_at": next_at, "last_error": None}},
        )

    def remove_schedule(self, name: str) -> bool:
        """Forget a schedule; whether there was one of this name."""
        with translated():
            return self._schedules.delete_one({"_id": name}).deleted_count == 1

    def _update(self, filter: Document, update: Document) -> bool:
        with translated():
            return self._schedules.update_one(filter, update).matched_count == 1
