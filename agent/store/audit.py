"""The collections `audit` and `audit_outcomes`: who did what, when, and why.

Nothing here changes or deletes what stands there. An entry is written before its change, so that
there is none without; what came of it is written beside it afterwards.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from agent.errors import AlreadyStored
from agent.models import Document, new_id
from agent.store.base import Store, ids_of
from agent.store.connection import translated
from agent.store.listing import Place, asked_behind

LONGEST_REASON = 500
MOST = 200


class Deed(NamedTuple):
    """What somebody is about to do.

    Args:
        who: by the name they signed in with.
        what: a word, such as `retry`.
        on: to which context, service, schedule, or selection of contexts.
        why: in their own words.
        address: where they asked from.
    """

    who: str
    what: str
    on: str
    why: str = ""
    address: str = ""


class Audit(Store):
    """What people did."""

    def note_deed(self, deed: Deed) -> str:
        """Write down what is about to be done; the entry's id.

        Raises:
            StoreUnavailable: MongoDB did not answer. Then it must not be done.
        """
        entry_id = new_id("aud")
        entry = {**deed._asdict(), "why": deed.why[:LONGEST_REASON], "at": self.now()}
        with translated():
            self.database["audit"].insert_one({"_id": entry_id, **entry})
        return entry_id

    def note_outcome(
        self, entry_id: str, *, count: int | None, error: str | None = None, unsure: int = 0
    ) -> None:
        """Write down what came of it: to how many, or why to none. What stands there already stays.

        Args:
            unsure: of so many more it is not known whether it was done to them.
        """
        outcome = {"_id": entry_id, "at": self.now(), "count": count, "error": error}
        outcome |= {"unsure": unsure} if unsure else {}
        with suppress(AlreadyStored), translated():
            self.database["audit_outcomes"].insert_one(outcome)

    def has_outcome(self, entry_id: str) -> bool:
        """Whether it stands there already what came of it.

        Raises:
            StoreUnavailable: MongoDB did not answer.
        """
        with translated():
            return self.database["audit_outcomes"].find_one({"_id": entry_id}) is not None

    def page_of_audit(
        self, *, limit: int, who: str | None = None, after: Place | None = None
    ) -> list[Document]:
        """Entries with their `outcome` (None while it is not known), the newest first.

        Args:
            who: only theirs.
            after: the date and the id of the last one of the page before.
        """
        asked: Document = {} if who is None else {"who": {"$eq": who}}
        limit, found = min(limit, MOST), list[Document]()
        with translated():
            for filter, sort in asked_behind(asked, "at", after):
                if len(found) < limit:
                    rest = limit - len(found)
                    found += self.database["audit"].find(filter, sort=sort, limit=rest)
            outcomes = {
                each["_id"]: each
                for each in self.database["audit_outcomes"].find({"_id": {"$in": ids_of(found)}})
            }
        return [{**each, "outcome": outcomes.get(each["_id"])} for each in found]
