"""What an operator did to contexts that wait to be tried again, taken back.

How each of them waited is noted before it is changed. It waits so again only as long as nothing has
gone on: each write asks for the very time, fence and status that the operator's own write left, so
whatever a worker, a bridge or another operator has touched since is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from agent.models import ABSENT, Document, Status
from agent.store import changes
from agent.store.base import Store
from agent.store.bulk import Progress
from agent.store.changes import Write
from agent.store.ejson import decode_id, encode_id
from agent.store.operations import RETRIED, retry_of
from agent.store.soundness import is_fence

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Before(NamedTuple):
    """How a context waited, and by what the change that was then made is known.

    Args:
        fence: None where there was none.
        changed_at: the `updated_at` that the change left.
    """

    context_id: Any
    available_at: datetime
    reason: str
    fence: int | None
    changed_at: datetime

    @classmethod
    def of(cls, document: Document, changed_at: datetime) -> Before | None:
        """As it was read; None where another program wrote what cannot be given back."""
        due, reason = document.get("available_at"), document.get("wait_reason")
        fence = document.get("fence")
        if not isinstance(due, datetime) or not isinstance(reason, str):
            return None
        if fence is not None and not is_fence(fence):
            return None
        return cls(document["_id"], due, reason, fence, changed_at)

    def to_json(self) -> str:
        """As it is kept."""
        told = [encode_id(self.context_id), _number(self.available_at), self.reason, self.fence,
                _number(self.changed_at)]  # fmt: skip
        return json.dumps(told, separators=(",", ":"))

    @classmethod
    def of_json(cls, text: str) -> Before:
        """What `to_json` was given.

        Raises:
            ValueError: it is nothing of ours.
        """
        context_id, due, reason, fence, changed_at = json.loads(text)
        return cls(decode_id(context_id), _moment(due), reason, fence, _moment(changed_at))

    @property
    def read(self) -> Document:
        """What its fields are as long as nobody has touched it since."""
        return {"fence": ABSENT if self.fence is None else self.fence,
                "updated_at": self.changed_at}  # fmt: skip


class Undone(Store):
    """What an operator takes back. Each method raises `StoreUnavailable` when MongoDB did not
    answer: done again, it goes on with what is left."""

    def undo_postpone(self, before: Sequence[Before], until: datetime) -> Progress:
        """Give those their earlier time back that still wait with exactly the time that was given
        them.

        Args:
            until: that time.
        """
        now = self.now()

        def write_of(each: Before) -> Write:
            write = changes.postpone(now, {"$eq": each.context_id}, each.available_at)
            same = changes.as_read({"available_at": until, "fence": each.read["fence"]})
            return write._replace(filter={**write.filter, **same})

        return self._undo([write_of(each) for each in before], len(before))

    def undo_run_now(self, before: Sequence[Before]) -> Progress:
        """Let those wait again that have not begun."""
        now = self.now()
        return self._undo(
            [
                changes.take_back(
                    now, each.context_id, read={**each.read, "available_at": each.changed_at},
                    available_at=each.available_at, reason=each.reason,
                )
                for each in before
            ],
            len(before),
        )  # fmt: skip

    def undo_cancel(self, before: Sequence[Before]) -> Progress:
        """Begin those anew that are still cancelled, at the time that they had: a retry like any
        other, under the same idempotency key."""
        now = self.now()
        ids = {"$in": [each.context_id for each in before]}
        found = self._find({"_id": ids, "status": str(Status.CANCELLED)}, RETRIED)
        found = [each for each in found if not _is_too_late(each, now)]
        ended = self._cancelled_wholes(found)
        due = {place_of(each.context_id): each for each in before}
        writes = []
        for document in found:
            was = due.get(place_of(document["_id"]))
            if was is not None and _is_as_left(document, was) and not _is_part(document, ended):
                writes.append(retry_of(now, document, False, available_at=was.available_at))
        return self._undo(writes, len(before))

    def _cancelled_wholes(self, children: Sequence[Document]) -> set[str]:
        """Those of their parents that somebody has cancelled as a whole, which stands."""
        parents = [each["parent_id"] for each in children if each.get("parent_id") is not None]
        if not parents:
            return set()
        asked = {"_id": {"$in": parents}, "cancelling": True}
        return {place_of(each["_id"]) for each in self._find(asked, {"_id": 1})}

    def _undo(self, writes: Sequence[Write], meant: int) -> Progress:
        changed, refused = self._write_batch(writes)
        progress = Progress(self.now())
        return progress.and_then(matched=meant, changed=changed, refused=refused)


def place_of(context_id: Any) -> str:
    """Ids need not be hashable, and `1` is another one than `"1"`."""
    return json.dumps(encode_id(context_id))


def _is_as_left(document: Document, was: Before) -> bool:
    return all(document.get(name, ABSENT) == value for name, value in was.read.items())


def _is_too_late(document: Document, now: datetime) -> bool:
    deadline = document.get("deadline_at")
    return isinstance(deadline, datetime) and deadline <= now


def _is_part(document: Document, wholes: set[str]) -> bool:
    return place_of(document.get("parent_id")) in wholes


def _number(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def _moment(milliseconds: Any) -> datetime:
    return EPOCH + int(milliseconds) * MILLISECOND
