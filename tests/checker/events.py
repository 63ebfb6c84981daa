"""The changes of contexts, one by one, as MongoDB told them; and what each led to."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from agent.models import Document, context_key

Operation = Literal["insert", "update", "replace", "delete"]
Order = tuple[int, int]
"""The server's logical time: seconds, and a number within the second."""
SAME_MOMENT = timedelta(milliseconds=50)
"""For a write of ours to be applied once its date has been read off the clock."""


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One write of one context.

    Args:
        order: the server's order of all writes.
        at: when the server applied it, by its own clock.
        fields: an insert's or replacement's document; what an update set, under dotted names.
        removed: what an update removed.
    """

    operation: Operation
    context_id: Any
    order: Order
    at: datetime
    fields: Mapping[str, Any]
    removed: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """Here writes may be missing, of any context."""

    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """All that was told, in order, of a collection that was empty before."""

    entries: Sequence[ChangeEvent | Gap] = ()

    @property
    def gaps(self) -> list[Gap]:
        return [entry for entry in self.entries if isinstance(entry, Gap)]

    @property
    def is_whole(self) -> bool:
        return not self.gaps

    def of_contexts(self) -> dict[str, list[ChangeEvent | Gap]]:
        """What happened to each context, by its key; a gap is one for all of them."""
        found: dict[str, list[ChangeEvent | Gap]] = {}
        gaps: list[Gap] = []
        for entry in self.entries:
            if isinstance(entry, Gap):
                gaps.append(entry)
                for entries in found.values():
                    entries.append(entry)
            else:
                found.setdefault(context_key(entry.context_id), list(gaps)).append(entry)
        return found


@dataclass(frozen=True, slots=True)
class Step:
    """One write of one context between what was before and what is after.

    Args:
        before: None where nothing is known of it; after a gap it is what has been told since.
        after: empty when it was deleted.
        is_foreign: another program's, as the plan says, so that all begins anew.
        is_whole: whether every field is known, before and after.
    """

    event: ChangeEvent
    before: Document | None
    after: Document
    is_foreign: bool = False
    is_whole: bool = True

    @property
    def moved(self) -> tuple[str, str] | None:
        """From which status to which; None where it stayed, or the former is not known."""
        old = (self.before or {}).get("status")
        new = self.after.get("status")
        return None if old is None or new is None or old == new else (old, new)

    def both(self, name: str) -> tuple[int, int] | None:
        """A count before and after; None where one of them is not known."""
        old, new = count(self.before, name), count(self.after, name)
        return None if old is None or new is None or self.is_adoption else (old, new)

    @property
    def is_adoption(self) -> bool:
        """Whether another program's document became ours, so that its counts begin."""
        if self.before is None or not self.is_whole:
            return False
        return count(self.before, "fence") is None and count(self.after, "fence") is not None


def steps(entries: Iterable[ChangeEvent | Gap], *, touched: bool = False) -> Iterator[Step]:
    """What the changes of one context led to, one after the other.

    Args:
        touched: whether another program wrote it, too: what none of ours can have written is then
            taken for its doing.
    """
    known: Document | None = None
    whole, first = True, True
    for entry in entries:
        if isinstance(entry, Gap):
            known, whole = None, False
            continue
        foreign = touched and not first and _is_foreign(entry, known)
        after = apply(entry, known)
        whole = whole or entry.operation in ("insert", "replace")
        yield Step(entry, None if foreign else known, after, foreign, whole)
        known, first = after, False


def apply(event: ChangeEvent, before: Document | None) -> Document:
    """The document after a write of it, as far as it is known."""
    if event.operation == "delete":
        return {}
    if event.operation != "update":
        return dict(event.fields)
    after = copy.deepcopy(before or {})
    for name, value in event.fields.items():
        *path, last = name.split(".")
        place = after
        for part in path:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = copy.deepcopy(value)
    for name in event.removed:
        after.pop(name, None)
    return after


def is_dated(event: ChangeEvent, before: Document | None, within: timedelta) -> bool:
    """Whether a write says when it was made.

    MongoDB tells of no field that stays as it was: a write in the millisecond of the one before
    does not show its date. Then that one's has to be so young, or that of an end that it tells: who
    is stopped between reading the clock and writing may come as late as he likes.
    """
    if "updated_at" in event.fields:
        return True
    date = (before or {}).get("updated_at")
    if not isinstance(date, datetime):
        return False
    return event.fields.get("completed_at") == date or event.at - date <= within


def _is_foreign(event: ChangeEvent, before: Document | None) -> bool:
    """Ours neither replaces nor deletes, and dates every status that it writes."""
    if event.operation != "update":
        return True
    status = event.fields.get("status", (before or {}).get("status"))
    moved = before is not None and status != before.get("status")
    return moved and not is_dated(event, before, SAME_MOMENT)


def count(document: Document | None, name: str) -> int | None:
    """A count of a document; None where it is not known, or is none."""
    value = (document or {}).get(name)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count else None
