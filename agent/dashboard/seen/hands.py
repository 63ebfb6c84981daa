"""What a worker that fell silent had in hand, and what became of each of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.errors import RequestInvalid
from agent.models import FINAL, Document, Status, context_key
from agent.projections.presence import Running, WorkerView
from agent.store.ids import read_ids

MOST_ASKED = 500
"""Contexts that are looked up for all silent workers together."""
MOST_LISTED = 20
"""Of one worker."""
TYPED = ("ObjectId:", "UUID:", "int:")
"""What stands before an id that is no string, as workers tell of it."""


@dataclass(frozen=True, slots=True)
class InHand:
    """One context.

    Args:
        word: its id, as a path takes it.
        fate: what became of it, in words.
        at: when it comes back, or ended; None where that says nothing.
        is_back: whether it is out of the worker's hands.
    """

    word: Any
    service_type: str
    fate: str
    at: datetime | None
    is_back: bool


def word_of(key: str) -> str:
    """An id as a path takes it, from the text by which workers tell of it."""
    return next((key[len(each) :] for each in TYPED if key.startswith(each)), key)


def ids_of(workers: Iterable[WorkerView]) -> list[Any]:
    """Whatever ids are meant by what these ran at their last beat, within bounds."""
    found: list[Any] = []
    for worker in workers:
        for run in worker.running:
            try:
                found += dict.fromkeys([run.context_id, *read_ids(word_of(run.context_id))])
            except (RequestInvalid, TypeError):
                found.append(run.context_id)
            if len(found) >= MOST_ASKED:
                return found
    return found


def in_hand(
    worker: WorkerView,
    documents: Sequence[Document],
    now: datetime,
    *,
    asked: Collection[Any],
    leads: bool,
) -> list[InHand]:
    """What it had in hand: what is still there first.

    Args:
        documents: what is known of its contexts; may hold those of others.
        asked: the ids that were looked up.
        leads: whether a bridge leads, which takes back what is left.
    """
    running = {run.context_id for run in worker.running}
    mine = [
        each
        for each in documents
        if context_key(each["_id"]) in running or _is_held(each, worker.worker_id)
    ]
    once = {context_key(each["_id"]): each for each in mine}
    rows = [_row(each, worker.worker_id, now, leads) for each in once.values()]
    rows += [
        InHand(word_of(run.context_id), run.service_type, _fate_unseen(run, asked), None, True)
        for run in worker.running
        if run.context_id not in once
    ]
    return sorted(rows, key=lambda each: each.is_back)


def _fate_unseen(run: Running, asked: Collection[Any]) -> str:
    is_asked = run.context_id in asked
    return "it is not there any more" if is_asked else "not looked up: there is too much of it"


def _row(document: Document, owner: str, now: datetime, leads: bool) -> InHand:
    fate, at, is_back = _fate(document, owner, now, leads)
    service = str(document.get("service_type"))
    return InHand(document["_id"], service, fate, at, is_back)


def _fate(
    document: Document, owner: str, now: datetime, leads: bool
) -> tuple[str, datetime | None, bool]:
    status = str(document.get("status"))
    if _is_held(document, owner):
        return _fate_in_hand(_date(_part(document, "lease").get("expires_at")), now, leads)
    if status in FINAL:
        by = "by it" if document.get("processed_by") == owner else "by another"
        done = f"{status} {by}" if status == Status.COMPLETED else status
        return f"{done},", _date(document.get("completed_at")), True
    if status == Status.SCHEDULED:
        due = _date(document.get("available_at"))
        back = "taken back; " if document.get("wait_reason") == "crash" else ""
        return f"{back}due", due, True
    if status == Status.PROCESSING:
        return "runs at another worker", None, True
    return f"is {status} again", None, True


def _fate_in_hand(
    end: datetime | None, now: datetime, leads: bool
) -> tuple[str, datetime | None, bool]:
    if end is not None and end > now:
        return "still in its hands; comes back when its lease ends,", end, False
    if leads:
        return "its lease has run out; it is being taken back", end, False
    return "its lease has run out, and no bridge leads that would take it back", end, False


def _is_held(document: Document, owner: str) -> bool:
    return (
        document.get("status") == Status.PROCESSING
        and _part(document, "lease").get("owner") == owner
    )


def _part(document: Document, name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}


def _date(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None
