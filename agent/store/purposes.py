"""The collection `purposes`: what requests are for, and the template of each. There are few."""

from __future__ import annotations

from agent.models import Document
from agent.store.base import Store
from agent.store.connection import translated


class Purposes(Store):
    """Stored purposes; `_id` is the purpose's id."""

    def find_purpose(self, purpose_id: str) -> Document | None:
        """The purpose of this id, or None."""
        with translated():
            return self.database["purposes"].find_one({"_id": purpose_id})

    def list_purposes(self) -> list[Document]:
        """All of them, by id."""
        with translated():
            return list(self.database["purposes"].find({}, sort=[("_id", 1)]))

    def store_purpose(self, purpose_id: str, purpose: Document) -> None:
        """Store a purpose, in place of the one of the same id.

        Raises:
            NotStorable: MongoDB cannot hold it.
            StoreUnavailable: MongoDB did not answer.
        """
        document = {**purpose, "_id": purpose_id, "stored_at": self.now()}
        with translated():
            self.database["purposes"].replace_one({"_id": purpose_id}, document, upsert=True)
