"""Contexts that an operator has chosen by their ids, out of those that wait to be tried again.

Each single change is the guarded write of `run_now`, `postpone` or `cancel`, in batches that share
a round trip. What does not wait to be tried again any more is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from agent.errors import RequestInvalid
from agent.models import Document, Status
from agent.store import changes
from agent.store.base import Store
from agent.store.bulk import Progress
from agent.store.changes import Write
from agent.store.ids import read_ids
from agent.store.marks import left_by
from agent.store.operations import RETRIED
from agent.store.viewed import AGAIN

BATCH = 500


class Chosen(Store):
    """What an operator does to contexts that wait to be tried again.

    Each method takes ids as words, and raises `StoreUnavailable` when MongoDB did not answer: done
    again, it goes on with what is left.
    """

    def run_chosen_now(self, words: Sequence[str]) -> Progress:
        """Let them wait no longer."""
        return self._change_chosen(
            words, lambda found: changes.run_now(self.now(), {"$eq": found["_id"]})
        )

    def postpone_chosen(self, words: Sequence[str], available_at: datetime) -> Progress:
        """Let them wait until another time; one whose deadline is before that is left as it is.

        Raises:
            RequestInvalid: that time does not lie ahead.
        """
        if available_at <= self.now():
            raise RequestInvalid("`available_at` does not lie ahead; let it run now instead")
        return self._change_chosen(
            words, lambda found: changes.postpone(self.now(), {"$eq": found["_id"]}, available_at)
        )

    def cancel_chosen(self, words: Sequence[str]) -> Progress:
        """Cancel them; one that has begun in the meantime is left to its end."""

        def write_of(found: Document) -> Write:
            now = self.now()
            write = changes.cancel(now, found["_id"], only=Status.SCHEDULED)
            return self.retention.kept(found, left_by(found, write, now), now)

        return self._change_chosen(words, write_of)

    def _change_chosen(
        self, words: Sequence[str], write_of: Callable[[Document], Write]
    ) -> Progress:
        progress = Progress(self.now())
        for start in range(0, len(words), BATCH):
            some = words[start : start + BATCH]
            writes = [write_of(found) for found in self._chosen(some)]
            changed, refused = self._write_batch(writes)
            progress = progress.and_then(matched=len(some), changed=changed, refused=refused)
        return progress

    def _chosen(self, words: Sequence[str]) -> list[Document]:
        """Those of them that still wait to be tried again, each once."""
        meant = [read_ids(word) for word in words]
        asked = {"_id": {"$in": [id_ for each in meant for id_ in each]}}
        waits = {**AGAIN, "status": str(Status.SCHEDULED), **changes.NO_PARENT}
        found = {_place(each["_id"]): each for each in self._find({**asked, **waits}, RETRIED)}
        taken = (next((p for p in map(_place, ids) if p in found), None) for ids in meant)
        return [found[place] for place in dict.fromkeys(taken) if place is not None]


def _place(context_id: Any) -> tuple[str, str]:
    """Ids need not be hashable, and `1` is another one than `"1"`."""
    return type(context_id).__name__, repr(context_id)
