"""Batches: their rows until they are contexts, and how they become them.

Rows are kept in chunks in the collection `uploads` before the batch itself is stored, so that all
of an acknowledged batch is there. A chunk becomes contexts in one transaction with the parent's
word that it has, and is deleted in it: whoever does it a second time changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from agent.errors import ContextNotFound
from agent.models import BATCH, PARENT, Document, Status
from agent.store.changes import Write
from agent.store.connection import translated
from agent.store.parents import Parents

KEPT_UPLOAD = timedelta(days=7)
"""Rows that no batch came of are deleted then."""
PAGE = 200
"""Items that one question brings."""
PAGE_BYTES = 8 * 1024 * 1024

ROWS_OF_NO_BATCH: Document = {"expire_at": 1}


class Batches(Parents):
    """What the intake, the duty that expands batches, and their readers ask."""

    @property
    def _uploads(self) -> Collection[Document]:
        return self.database["uploads"]

    # The intake

    def keep_rows(self, upload: str, number: int, items: Sequence[Any]) -> None:
        """Keep a chunk of rows, numbered from 0.

        Raises:
            NotStorable: MongoDB refuses it.
            StoreUnavailable: MongoDB did not answer.
        """
        chunk = {
            "_id": _chunk_id(upload, number),
            "upload": upload,
            "items": list(items),
            "expire_at": self.now() + KEPT_UPLOAD,
        }
        with translated():
            self._uploads.insert_one(chunk)

    def drop_rows(self, upload: str, chunks: int) -> None:
        """Forget the rows of an upload that no batch comes of."""
        with translated():
            self._uploads.delete_many({"_id": {"$in": _chunk_ids(upload, chunks)}})

    def insert_batch(self, parent: Document, upload: str, chunks: int) -> None:
        """Store the parent of a batch whose rows are all there: from now on it is acknowledged.

        Raises:
            AlreadyStored: there is one of this id.
            NotStorable: MongoDB refuses it.
            StoreUnavailable: MongoDB did not answer. Whether it was stored is open.
        """
        self.insert_contexts([parent])
        self.keep_for_good(upload, chunks)

    def keep_for_good(self, upload: str, chunks: int) -> None:
        """Rows of which a batch came are kept until they are contexts."""
        with translated():
            self._uploads.update_many(
                {"_id": {"$in": _chunk_ids(upload, chunks)}}, {"$unset": ROWS_OF_NO_BATCH}
            )

    # Expand

    def expanding_batches(self, limit: int) -> list[Document]:
        """Batches of which not all rows are contexts, the one that was looked at longest ago first;
        whole, but for what is no more than counted."""
        return self._find(
            {"expanding.at": {"$lte": self.now()}}, sort=[("expanding.at", 1)], limit=limit
        )

    def rows_of_chunk(self, upload: str, number: int) -> list[Document] | None:
        """The rows of a chunk; None when it is not there."""
        with translated():
            found = self._uploads.find_one({"_id": _chunk_id(upload, number)})
        return None if found is None else list(found["items"])

    def store_items(self, batch: Document, documents: Sequence[Document]) -> bool:
        """Store the contexts of the next chunk, and that they are there, in one transaction;
        whether it was still the next, and nobody had cancelled the batch or begun it anew.

        Raises:
            AlreadyStored: another program has taken one of their ids.
            NotStorable: MongoDB refuses one of them.
            StoreUnavailable: MongoDB did not answer. Whether they were stored is open.
        """
        expanding = batch["expanding"]
        number, is_last = expanding["next"], expanding["next"] + 1 >= expanding["chunks"]

        def store(session: ClientSession) -> bool:
            now = self.now()
            guard = {
                "_id": batch["_id"], "kind": PARENT, "status": str(Status.PROCESSING),
                "expanding.next": number, "cancelling": {"$exists": bool(batch.get("cancelling"))},
            }  # fmt: skip
            update: Document = {"$set": {"updated_at": now}}
            if is_last:
                update["$unset"] = {"expanding": ""}
                update["$set"]["unsettled"] = {"at": now}
                update["$inc"] = {"fence": 1}
            else:
                update["$set"] |= {"expanding.next": number + 1, "expanding.at": now}
            if not self.contexts.update_one(guard, update, session=session).matched_count:
                return False
            if documents:
                self.contexts.insert_many(list(documents), ordered=False, session=session)
            # here, or whoever dies right afterwards leaves them for ever
            self._uploads.delete_one(
                {"_id": _chunk_id(expanding["upload"], number)}, session=session
            )
            return True

        with translated(), self.client.start_session() as session:
            return bool(session.with_transaction(store))

    def give_up_expanding(self, batch: Document) -> bool:
        """Make no more items of a batch: settle fails it with what there is of it; whether nobody
        had changed it meanwhile."""
        now = self.now()
        update = {
            "$set": {"updated_at": now, "incomplete_at": now, "unsettled": {"at": now}},
            "$unset": {"expanding": ""},
            "$inc": {"fence": 1},
        }
        return self._write(Write({"_id": batch["_id"], "fence": batch.get("fence")}, update))

    # Settle

    def count_children(self, parent_id: str) -> Counter[str]:
        """How many children a parent has in each status, from the index alone.

        All at one moment: else one that ends meanwhile moves in the index from where it is still to
        be counted to where all have been, and is missing; or it is counted twice.
        """
        pipeline: list[Document] = [
            {"$match": {"parent_id": parent_id}},
            {"$group": {"_id": "$status", "count": {"$sum": 1}}},
        ]
        with self._at_one_moment() as session:
            rows = self._aggregate(pipeline, session=session)
        return Counter({str(row["_id"]): row["count"] for row in rows})

    # People

    def find_batch(self, batch_id: Any) -> Document:
        """A batch, without the terms that its items share.

        Raises:
            ContextNotFound: there is none of this id.
        """
        found = self._find_one({"_id": batch_id}, {"batch": 0}, in_part=True)
        if found is None or found.get("service_type") != BATCH or found.get("kind") != PARENT:
            raise ContextNotFound(f"no batch {batch_id!r}")
        return found

    def items_of(
        self, batch_id: str, *, after: str | None = None, limit: int = PAGE
    ) -> list[Document]:
        """Items of a batch in the order of their rows, from behind the one of that id on.

        They are found by their ids, which begin with that of the batch and sort as their rows do.
        """
        first = f"{batch_id}_" if after is None else after
        asked = {"_id": {"$gt": first, "$lt": f"{batch_id}_:"}, "parent_id": batch_id}
        return self._find(asked, WITHOUT_TEMPLATE, sort=[("_id", 1)], limit=limit)

    def read_items(self, batch_id: str) -> Iterator[list[Document]]:
        """All items of a batch in pages, in the order of their rows. Of an item of several steps
        its `results` are those of its steps, by their keys."""
        after: str | None = None
        while page := self.items_of(batch_id, after=after):
            after = page[-1]["_id"]
            self._fill_in_steps(page)
            yield page

    def _fill_in_steps(self, page: Sequence[Document]) -> None:
        items = {item["_id"]: item for item in page if item.get("kind") == PARENT}
        for item in items.values():
            item["results"] = {}
        if not items:
            return
        asked = {"parent_id": {"$in": list(items)}}
        for step in self._find(asked, {"parent_id": 1, "step": 1, "status": 1, "results": 1}):
            if step.get("status") == Status.COMPLETED:
                items[step["parent_id"]]["results"][str(step.get("step"))] = step.get("results")


WITHOUT_TEMPLATE = {"template.service_template": 0, "attempts": 0, "metadata": 0}


def _chunk_id(upload: str, number: int) -> str:
    return f"{upload}:{number:06d}"


def _chunk_ids(upload: str, chunks: int) -> list[str]:
    return [_chunk_id(upload, number) for number in range(chunks)]
