"""Many contexts in one go, as an operator selects them: counted, begun anew, cancelled.

Each single change is the guarded write of `retry` and `cancel`, in batches that share a round trip.
What matches is read once, through a cursor, so a million need no more memory than a batch. A run
that ends midway is simply begun again: what was changed does not match any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count, islice
from typing import Any

from agent.errors import RequestInvalid, StoreUnavailable
from agent.models import FINAL, OPEN, TRANSITIONS, Change, Document, Status
from agent.store import changes
from agent.store.base import Store, ids_of
from agent.store.changes import Write
from agent.store.connection import is_refused, translated
from agent.store.marks import left_by
from agent.store.operations import RETRIED, retry_of
from agent.store.pace import Pace
from agent.store.raw import legible
from agent.store.selection import Selection
from agent.store.spread import Spread

MOST_ROUNDS = 5
"""Of a cancellation, which meets contexts on their way from one status to the next."""
COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Args:
        matched: looked at so far.
        changed: begun anew, or cancelled.
        moved_on: somebody else had changed them in the meantime: left as they are.
        refused: MongoDB does not take the change (a document that is full).
        until: what came after that is not touched, so that a run comes to its end.
    """

    until: datetime
    matched: int = 0
    changed: int = 0
    moved_on: int = 0
    refused: int = 0

    def and_then(self, *, matched: int, changed: int, refused: int) -> Progress:
        """The same after another batch."""
        return replace(
            self,
            matched=self.matched + matched,
            changed=self.changed + changed,
            refused=self.refused + refused,
            moved_on=self.moved_on + matched - changed - refused,
        )


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class _Steps:
    """How each batch is changed."""

    write_of: Callable[[Document], Write]
    limit: int | None
    pace: Pace
    on_progress: OnProgress


class Bulk(Store):
    """What an operator does to all that match."""

    def count_retriable(self, selection: Selection, *, up_to: int = COUNTED) -> int:
        """How many `retry_matching` would find now; no more than `up_to` are counted.

        Raises:
            RequestInvalid: the status is no final one that a retry begins with.
            StoreUnavailable: MongoDB did not answer, or not in time.
        """
        return self._count(_to_retry(selection), up_to)

    def count_cancellable(self, selection: Selection, *, up_to: int = COUNTED) -> int:
        """How many `cancel_matching` would find now; no more than `up_to` are counted.

        Raises:
            RequestInvalid: the status is a final one.
            StoreUnavailable: MongoDB did not answer, or not in time.
        """
        count = 0
        for part in _to_cancel(selection):
            count += self._count(part, up_to - count) if count < up_to else 0
        return count

    def _count(self, selection: Selection, up_to: int) -> int:
        asked = _filter(selection)
        counted = self._aggregate(
            [{"$match": asked}, {"$limit": up_to}, {"$count": "n"}], hint=_hint(asked)
        )
        return int(counted[0]["n"]) if counted else 0

    def retry_matching(
        self,
        selection: Selection,
        *,
        limit: int | None = None,
        fresh_key: bool | None = None,
        pace: Pace | None = None,
        on_progress: OnProgress = lambda _progress: None,
        spread: Spread | None = None,
    ) -> Progress:
        """Begin all anew that failed (or were cancelled) and match, each as `retry` does.

        Args:
            selection: its status is `failed` unless it names `cancelled`; its times are those of
                `completed_at`.
            limit: so many at most.
            fresh_key: as for `retry`.
            on_progress: told after each batch. What it raises ends the run.
            spread: they begin one after the other; those that come after other steps of their
                request when these are done.

        Raises:
            RequestInvalid: the status is no final one that a retry begins with.
            StoreUnavailable: MongoDB did not answer. Begin it again: it goes on with what is left.
        """
        progress = Progress(self._end(selection))
        selection = replace(_to_retry(selection), until=progress.until)
        places = count()

        def write_of(document: Document) -> Write:
            at = spread.at(next(places)) if spread is not None else None
            return retry_of(self.now(), document, fresh_key, available_at=at)

        steps = _Steps(write_of, limit, pace or Pace(None), on_progress)
        return self._change_all(selection, steps, progress)

    def retriable_ids(self, selection: Selection, *, limit: int) -> list[Any]:
        """Which `retry_matching` would find now, so many at most, in its order.

        Raises:
            RequestInvalid: the status is no final one that a retry begins with.
            StoreUnavailable: MongoDB did not answer.
        """
        asked = _filter(_to_retry(selection))
        return ids_of(self._find(asked, {"_id": 1}, limit=limit, hint=_hint(asked), batch=limit))

    def retry_ids(
        self,
        ids: Sequence[Any],
        selection: Selection,
        *,
        spread: Spread | None = None,
        place: int = 0,
    ) -> Progress:
        """Begin those of them anew that still match, each as `retry` does.

        Args:
            ids: a batch.
            place: of the first one in what is spread.

        Raises:
            RequestInvalid: the status is no final one that a retry begins with.
            StoreUnavailable: MongoDB did not answer. Begin it again: it goes on with what is left.
        """
        asked = {"_id": {"$in": list(ids)}, **_filter(_to_retry(selection))}
        found, now = self._find(asked, RETRIED, batch=len(ids)), self.now()
        writes = [
            retry_of(now, each, None, available_at=spread.at(at) if spread is not None else None)
            for at, each in enumerate(found, place)
        ]
        changed, refused = self._write_batch(writes)
        return Progress(now).and_then(matched=len(ids), changed=changed, refused=refused)

    def cancel_matching(
        self,
        selection: Selection,
        *,
        limit: int | None = None,
        pace: Pace | None = None,
        on_progress: OnProgress = lambda _progress: None,
    ) -> Progress:
        """Cancel all that match and are not final, each as `cancel` does.

        Args:
            selection: without a status all that are not final; its times are those of
                `created_at`.
            limit: so many at most.
            on_progress: told after each batch. What it raises ends the run.

        Raises:
            RequestInvalid: the status is a final one.
            StoreUnavailable: MongoDB did not answer. Begin it again: it goes on with what is left.
        """
        progress = Progress(self._end(selection))
        parts = _to_cancel(replace(selection, until=progress.until))

        def write_of(document: Document) -> Write:
            now = self.now()
            write = changes.cancel(now, document["_id"], only=selection.status)
            return self.retention.kept(document, left_by(document, write, now), now)

        steps = _Steps(write_of, limit, pace or Pace(None), on_progress)
        for _ in range(MOST_ROUNDS):
            before = progress.changed
            for part in parts:
                progress = self._change_all(part, steps, progress)
            if progress.changed == before:
                break
        return progress

    def _end(self, selection: Selection) -> datetime:
        """Up to when: what fails again, or is made, after the beginning is not for this run."""
        now = self.now()
        return now if selection.until is None else min(now, selection.until)

    def _change_all(self, selection: Selection, steps: _Steps, progress: Progress) -> Progress:
        for found in self._batches(_filter(selection), steps.pace.batch):
            left = len(found) if steps.limit is None else steps.limit - progress.changed
            if left <= 0:
                break
            batch = found[:left]
            steps.pace.keep(progress.changed)
            changed, refused = self._write_batch([steps.write_of(document) for document in batch])
            progress = progress.and_then(matched=len(batch), changed=changed, refused=refused)
            steps.on_progress(progress)
        return progress

    def _batches(self, asked: Document, size: int) -> Iterator[list[Document]]:
        """What matches, in the order of the index that finds it.

        Begun again once where the server refuses: it misses the index, or has lost the cursor.
        """
        try:
            yield from self._read(asked, size, _hint(asked))
        except StoreUnavailable as exc:
            if not is_refused(exc):
                raise
            yield from self._read(asked, size, None)

    def _read(self, asked: Document, size: int, hint: str | None) -> Iterator[list[Document]]:
        cursor = self._raw_contexts.find(asked, RETRIED, batch_size=size)
        cursor = cursor if hint is None else cursor.hint(hint)
        with closing(cursor):
            while True:
                with translated():
                    batch = [legible(raw) for raw in islice(cursor, size)]
                if batch:
                    yield batch
                if len(batch) < size:
                    return


def _to_retry(selection: Selection) -> Selection:
    """What failed, unless what was cancelled is asked for."""
    status = selection.status or Status.FAILED
    if status not in TRANSITIONS[Change.RETRY].sources:
        raise RequestInvalid(f"status: what is {status} is not tried again")
    return replace(selection, status=status)


def _to_cancel(selection: Selection) -> list[Selection]:
    """A part for each status that is not final, in the order that contexts go through them."""
    if selection.status in FINAL:
        raise RequestInvalid(f"status: what is {selection.status} is not cancelled")
    return [replace(selection, status=each) for each in OPEN if selection.status in (None, each)]


def _filter(selection: Selection) -> Document:
    """What is final is meant by the time of its end, all else by that of its creation. Parents
    follow their children."""
    final = selection.status in FINAL
    filter = selection.filter(since_field="completed_at" if final else "created_at")
    return {**filter, **changes.NO_PARENT}


def _hint(asked: Document) -> str:
    """The index that has least to read."""
    if asked["status"] == Status.FAILED:
        if "error.fingerprint" in asked:
            return "dead"
        if "$gte" in asked.get("completed_at", {}):
            return "failed"
    return "by_service" if "service_type" in asked else "due"
