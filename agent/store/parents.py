"""Parents and their children: requests of several steps, and batches.

What a person asks of a parent is written on the parent itself, carried out here for as many
children as one may wait for, and finished by settle, whoever died meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from agent.errors import AlreadyStored, ContextNotFound, IllegalTransition
from agent.models import FINAL, OPEN, PARENT, TRANSITIONS, Change, Document, Status, context_key
from agent.store import parent_changes
from agent.store.base import ids_of
from agent.store.changes import Write
from agent.store.operations import RETRIED, Operations, retry_of

PAGE = 500
"""Children that one write changes, or one question brings."""
PAGES_AT_ONCE = 20
"""Of them for one call; what is left is for the next."""
TRIES = 20
"""For a parent that settle writes just then."""
LOOK_AHEAD = timedelta(seconds=1)
"""A mark by a clock that is ahead is seen all the same."""

INCOMPLETE = "IncompleteRequest"
"""The error of a parent whose children were not all stored."""

STEP = {
    "_id": 1, "parent_id": 1, "status": 1, "step": 1, "after": 1, "on_failure": 1,
    "cancelled_by": 1, "unsettled": 1, "error.type": 1, "kind": 1,
}  # fmt: skip
"""What settle decides by; none of what a step carries."""
RETRIED_CHILD = {**RETRIED, "kind": 1, "status": 1, "cancelling": 1, "unsettled": 1}
STAYS_OPEN: Document = {"cancelling": {"$ne": True}}
"""Nobody has asked it to end: a request of several steps that ends is settle's."""
WITHOUT_PAYLOAD = {"template.service_template": 0, "request": 0, "results": 0}


class Parents(Operations):
    """What the intake, settle, workers and people ask of parents and children."""

    # The intake

    def insert_family(self, parent: Document, children: Sequence[Document]) -> None:
        """Insert a parent and then its children, in order. What is there already stays, so that an
        interrupted creation is finished by doing it again.

        Raises:
            NotStorable: MongoDB refuses one of them.
            StoreUnavailable: MongoDB did not answer. Which were stored is open.
        """
        try:
            self.insert_contexts([parent])
        except AlreadyStored:
            self._insert_missing(children)
            return
        try:
            self.insert_contexts(list(children))
        except AlreadyStored:
            self._insert_missing(children)

    def _insert_missing(self, children: Sequence[Document]) -> None:
        for start in range(0, len(children), PAGE):
            page = children[start : start + PAGE]
            there = set(ids_of(self._find({"_id": {"$in": ids_of(page)}}, {"_id": 1})))
            for child in page:
                if child["_id"] not in there:
                    with suppress(AlreadyStored):  # by another one, just now
                        self.insert_contexts([child])

    # Settle

    def unsettled(self, limit: int = PAGE) -> list[Document]:
        """Children that were changed, and parents whose time has come; the oldest first."""
        return self._find(
            {"unsettled.at": {"$lte": self.now() + LOOK_AHEAD}},
            {"kind": 1, "parent_id": 1, "unsettled": 1},
            sort=[("unsettled.at", 1)],
            limit=limit,
        )

    def parents(self, ids: Sequence[Any]) -> dict[Any, Document]:
        """Those of these ids that are parents."""
        filter = {"_id": {"$in": list(ids)}, "kind": PARENT, "fence": {"$type": "number"}}
        found = self._find(filter, {"template": 0, "request": 0, "batch": 0})
        return {document["_id"]: document for document in found}

    def steps_of(self, parent_ids: Sequence[str]) -> list[Document]:
        """All children of these, as settle sees them."""
        return self._find({"parent_id": {"$in": list(parent_ids)}}, STEP)

    def marks_of(self, ids: Sequence[Any]) -> list[Document]:
        """These children, as settle sees them."""
        return self._find({"_id": {"$in": list(ids)}}, STEP)

    def write_each(self, writes: Sequence[Write]) -> int:
        """Do guarded writes in one round trip; how many took place. One that MongoDB refuses costs
        only itself."""
        return self._write_batch(writes)[0] if writes else 0

    def cancel_children(self, parent_id: str, *, fence: int | None = None) -> bool:
        """Cancel what is not final of a parent; whether that is all.

        Args:
            fence: of the parent when it was seen to be cancelled; what a later retry of it has
                begun anew is left alone.
        """
        left = PAGES_AT_ONCE
        due = {**STAYS_OPEN, **parent_changes.not_begun_since(fence)}
        for status in OPEN:  # in their order, so that none slips through
            while left and (page := self._page(parent_id, status, {"kind": 1}, due)):
                left -= 1
                now, (requests, others) = self.now(), _apart(page)
                self._write_many(parent_changes.cancel_children(now, status, others, fence=fence))
                if requests:
                    self._write_many(parent_changes.cancel_requests(now, requests, fence=fence))
        return left > 0

    def retry_children(self, parent_id: str, round_: int, *, fresh_key: bool | None = None) -> bool:
        """Begin anew what failed or was cancelled, each once in this round; whether that is all."""
        if not self.keep_children(parent_id, None):
            return False
        left = PAGES_AT_ONCE
        for status in sorted(TRANSITIONS[Change.RETRY].sources):
            due = {"round": {"$not": {"$gte": round_}}}  # nor is a later one's failure this one's
            while left and (page := self._page(parent_id, status, RETRIED_CHILD, due)):
                left -= 1
                writes = [self._retry_of(each, round_, fresh_key) for each in page]
                if not self.write_each(writes):
                    break  # what cannot be written now is somebody else's, or full
        return left > 0

    def _retry_of(self, child: Document, round_: int, fresh_key: bool | None) -> Write:
        if child.get("kind") == PARENT:
            write = parent_changes.ask_to_retry(self.now(), child, fresh_key=fresh_key)
        else:
            write = retry_of(self.now(), child, fresh_key, opens_parent=False)
        return parent_changes.of_round(write, round_)

    def keep_children(self, parent_id: str, until: datetime | None) -> bool:
        """Have children go with their parent, or stay with it; whether that is all."""
        left = PAGES_AT_ONCE
        update = {"$unset": {"expire_at": ""}} if until is None else {"$set": {"expire_at": until}}
        others = {"$type": "date"} if until is None else {"$ne": until}
        for status in sorted(Status if until is None else FINAL):
            while left and (
                page := self._page(parent_id, status, {"kind": 1}, {"expire_at": others})
            ):
                left -= 1
                requests, _ = _apart(page)
                steps = self._steps_of_some(requests, others)  # first, as they are found by them
                if not self._write_many(Write({"_id": {"$in": [*steps, *ids_of(page)]}}, update)):
                    break
        return left > 0

    def _steps_of_some(self, requests: Sequence[Any], expire_at: Document) -> list[Any]:
        """The steps of these whose end of keeping is another one."""
        if not requests:
            return []
        asked = {"parent_id": {"$in": list(requests)}, "expire_at": expire_at}
        return ids_of(self._find(asked, {"_id": 1}))

    def _page(
        self,
        parent_id: str,
        status: Status,
        fields: Document | None = None,
        more: Document | None = None,
    ) -> list[Document]:
        filter = {"parent_id": parent_id, "status": str(status), **(more or {})}
        return self._find(filter, fields or {"_id": 1}, limit=PAGE)

    # Workers

    def results_of(self, ids: Sequence[Any]) -> dict[str, Any]:
        """What those of these steps brought that are completed, by their keys."""
        found = self._find({"_id": {"$in": list(ids)}})
        return {
            document["step"]: document.get("results")
            for document in found
            if document.get("status") == Status.COMPLETED and isinstance(document.get("step"), str)
        }

    # People

    def children_of(
        self, parent_id: Any, *, limit: int = PAGE, status: Status | None = None
    ) -> list[Document]:
        """Children of a parent without their payload, so many at most, in the order of their
        statuses; or those of one status."""
        filter = {"parent_id": parent_id} | ({} if status is None else {"status": str(status)})
        return self._find(filter, WITHOUT_PAYLOAD, limit=limit)

    def statuses_before(self, document: Document) -> list[tuple[str, str]]:
        """The steps that a step comes after: their keys and their statuses."""
        listed = document.get("after")
        after = (
            [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
        )
        if not after:
            return []
        found = {each["_id"]: each for each in self.marks_of(after)}
        return [
            (str(found.get(each, {}).get("step") or each), str(found.get(each, {}).get("status")))
            for each in after
        ]

    def cancel(self, context_id: Any) -> Document:
        """Cancel a context, or a request or batch as a whole, that is not final.

        Of a whole a few thousand children are cancelled at once, the rest by settle.

        Raises:
            ContextNotFound: there is none.
            IllegalTransition: it is final.
        """
        if not self._is_parent(context_id):
            return super().cancel(context_id)
        for _ in range(TRIES):
            parent = self._parent(context_id)
            if parent.get("status") in FINAL:
                raise IllegalTransition(
                    f"{context_id!r} is {parent['status']}: only what is not final is cancelled"
                )
            if parent.get("cancelling") or self._write(
                parent_changes.ask_to_cancel(self.now(), parent)
            ):
                self.cancel_children(context_id, fence=parent["fence"])
                return self.find_context(context_id)
        raise IllegalTransition(f"{context_id!r} changes all the time; try again")

    def retry(self, context_id: Any, *, fresh_key: bool | None = None) -> Document:
        """Begin a context anew, or all that failed or was cancelled of a request or batch.

        Of a whole a few thousand children are begun at once, the rest by settle.

        Raises:
            ContextNotFound: there is none.
            IllegalTransition: it is neither failed nor cancelled, and nothing of it is.
        """
        if not self._is_parent(context_id):
            return super().retry(context_id, fresh_key=fresh_key)
        for _ in range(TRIES):
            parent = self._parent(context_id)
            _check_retriable(context_id, parent)
            write = parent_changes.ask_to_retry(self.now(), parent, fresh_key=fresh_key)
            if self._write(write):
                round_ = write.update["$set"]["retrying"]["round"]
                self.retry_children(context_id, round_, fresh_key=fresh_key)
                return self.find_context(context_id)
        raise IllegalTransition(f"{context_id!r} changes all the time; try again")

    def _is_parent(self, context_id: Any) -> bool:
        found = self._find_one({"_id": context_id}, {"kind": 1}, in_part=True)
        return found is not None and found.get("kind") == PARENT

    def _parent(self, context_id: Any) -> Document:
        found = self.parents([context_id])
        if not found:
            raise ContextNotFound(f"no context {context_id!r}")
        return next(iter(found.values()))


def _apart(page: Sequence[Document]) -> tuple[list[Any], list[Any]]:
    """The ids of those that are requests of several steps, and of the others."""
    requests = ids_of(each for each in page if each.get("kind") == PARENT)
    return requests, ids_of(each for each in page if each.get("kind") != PARENT)


def _check_retriable(context_id: Any, parent: Document) -> None:
    error = parent.get("error")
    if isinstance(error, dict) and error.get("type") == INCOMPLETE:
        raise IllegalTransition(
            f"{context_id!r} was never stored as a whole, so it cannot be tried again; ask anew"
        )
    if parent.get("status") == Status.COMPLETED:
        raise IllegalTransition(
            f"{context_id!r} is completed: only what failed or was cancelled is tried again"
        )
    if parent.get("cancelling") and parent.get("status") not in FINAL:
        raise IllegalTransition(
            f"{context_key(context_id)!r} is being cancelled; try again in a moment"
        )


def in_template_order(parent: Document, children: Iterable[Document]) -> list[Document]:
    """Children in the order in which the template of their parent lists them."""
    listed = parent.get("steps")
    places = {key: place for place, key in enumerate(listed)} if isinstance(listed, list) else {}
    return sorted(children, key=lambda each: places.get(str(each.get("step")), len(places)))
