"""Contexts that an operator has chosen by their ids, out of those that wait to be tried again.

Each single change is the guarded write of `run_now`, `postpone` or `cancel`, in batches that share
a round trip. What does not wait to be tried again any more is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from agent.errors import RequestInvalid
from agent.models import Document, Status
from agent.store import changes
from agent.store.bulk import Progress
from agent.store.changes import Write
from agent.store.ids import read_ids
from agent.store.marks import left_by
from agent.store.operations import RETRIED
from agent.store.undone import Before, Undone, place_of
from agent.store.viewed import AGAIN

BATCH = 500
NOTED = {**RETRIED, "available_at": 1, "wait_reason": 1}

OnChange = Callable[[Sequence[Before]], None]
"""Told how those waited that are about to be changed, before each batch."""
WriteOf = Callable[[Document, datetime], Write]


def _forget(_before: Sequence[Before]) -> None:
    pass


class Chosen(Undone):
    """What an operator does to contexts that wait to be tried again.

    Each method takes ids as words, tells how they waited before they are changed, and raises
    `StoreUnavailable` when MongoDB did not answer: done again, it goes on with what is left.
    """

    def run_chosen_now(self, words: Sequence[str], on_change: OnChange = _forget) -> Progress:
        """Let them wait no longer."""

        def write_of(found: Document, now: datetime) -> Write:
            return changes.run_now(now, {"$eq": found["_id"]})

        return self._change_chosen(words, write_of, on_change)

    def postpone_chosen(
        self, words: Sequence[str], available_at: datetime, on_change: OnChange = _forget
    ) -> Progress:
        """Let them wait until another time; one whose deadline is before that is left as it is.

        Raises:
            RequestInvalid: that time does not lie ahead.
        """
        if available_at <= self.now():
            raise RequestInvalid("`available_at` does not lie ahead; let it run now instead")

        def write_of(found: Document, now: datetime) -> Write:
            return changes.postpone(now, {"$eq": found["_id"]}, available_at)

        return self._change_chosen(words, write_of, on_change)

    def cancel_chosen(self, words: Sequence[str], on_change: OnChange = _forget) -> Progress:
        """Cancel them; one that has begun in the meantime is left to its end."""

        def write_of(found: Document, now: datetime) -> Write:
            write = changes.cancel(now, found["_id"], only=Status.SCHEDULED)
            return self.retention.kept(found, left_by(found, write, now), now)

        return self._change_chosen(words, write_of, on_change)

    def _change_chosen(
        self, words: Sequence[str], write_of: WriteOf, on_change: OnChange
    ) -> Progress:
        progress = Progress(self.now())
        for start in range(0, len(words), BATCH):
            some = words[start : start + BATCH]
            found, now = self._chosen(some), self.now()
            noted = [Before.of(each, now) for each in found]
            on_change([each for each in noted if each is not None])
            changed, refused = self._write_batch([write_of(each, now) for each in found])
            progress = progress.and_then(matched=len(some), changed=changed, refused=refused)
        return progress

    def _chosen(self, words: Sequence[str]) -> list[Document]:
        """Those of them that still wait to be tried again, each once."""
        meant = [read_ids(word) for word in words]
        asked = {"_id": {"$in": [id_ for each in meant for id_ in each]}}
        waits = {**AGAIN, "status": str(Status.SCHEDULED), **changes.NO_PARENT}
        found = {place_of(each["_id"]): each for each in self._find({**asked, **waits}, NOTED)}
        taken = (next((p for p in map(place_of, ids) if p in found), None) for ids in meant)
        return [found[place] for place in dict.fromkeys(taken) if place is not None]
