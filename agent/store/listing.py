"""Contexts page by page, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bson.min_key import MinKey

from agent.models import Document
from agent.store.base import LONGEST_QUERY_MS
from agent.store.connection import translated
from agent.store.operations import WITHOUT_PAYLOAD, Operations
from agent.store.raw import legible
from agent.store.selection import Selection

BY_AGE = [("created_at", -1), ("_id", -1)]
WINDOW = 20_000
"""Contexts that one page of a search looks through."""

MOMENT = timedelta(milliseconds=1)
"""MongoDB's dates are no finer."""

Place = tuple[datetime, Any]
"""Where a page ended: the date and the id of its last context."""


class Page(NamedTuple):
    """A page of a search.

    Args:
        following: where the next page begins; None where there is nothing more.
    """

    found: list[Document]
    following: Place | None


class Listing(Operations):
    """What somebody reads through."""

    def search(self, selection: Selection, *, limit: int, after: Place | None = None) -> Page:
        """Contexts without their payload, the newest first: so many at most.

        What is rare is not looked for in all that there is: a page looks through `WINDOW` contexts,
        and one with fewer than `limit`, even none, has others behind it if it says so.

        Args:
            selection: its times are those of `created_at`.
            after: where the page before ended.

        Raises:
            StoreUnavailable: MongoDB did not answer, or not in time.
        """
        everything = Selection(since=selection.since, until=selection.until)
        edge = self._edge(everything, after) if selection != everything else None
        looked = selection if edge is None else replace(selection, since=edge)
        found = self.page_of_contexts(looked, limit=limit, after=after)
        last = found[-1] if len(found) == limit else None
        created_at = last.get("created_at") if last is not None else None
        if last is not None and isinstance(created_at, datetime):
            return Page(found, (created_at, last["_id"]))
        return Page(found, None if edge is None else (edge, MinKey()))

    def _edge(self, selection: Selection, after: Place | None) -> datetime | None:
        """The date at which the window ends that begins there; None: it has all that there is."""
        times: Document = {"$lte": after[0]} if after is not None else {}
        times |= selection.filter(since_field="created_at").get("created_at", {})
        filter = {"created_at": times} if times else {"created_at": {"$type": "date"}}
        with translated():
            cursor = self._raw_contexts.find(filter, {"_id": 0, "created_at": 1})
            ended = list(cursor.sort(BY_AGE).skip(WINDOW).limit(1).max_time_ms(LONGEST_QUERY_MS))
        edge = legible(ended[0]).get("created_at") if ended else None
        if not isinstance(edge, datetime):
            return None
        # of more than a window at one moment all are looked through
        return edge if after is None else min(edge, after[0] - MOMENT)

    def page_of_contexts(
        self, selection: Selection, *, limit: int, after: tuple[datetime, Any] | None = None
    ) -> list[Document]:
        """Contexts without their payload: so many at most.

        What has no date of creation is a document of another program that was not adopted yet; it
        comes last, and on a first page only.

        Args:
            selection: its times are those of `created_at`.
            after: the date and the id of the last one of the page before.

        Raises:
            StoreUnavailable: MongoDB did not answer, or not in time.
        """
        filter = selection.filter(since_field="created_at")
        if after is None:
            return self._find(filter, WITHOUT_PAYLOAD, sort=BY_AGE, limit=limit)
        created_at, context_id = after
        alike = {**filter, "created_at": {"$eq": created_at}, "_id": {"$lt": context_id}}
        found: list[Document] = []
        if selection.since is None or selection.since <= created_at:
            found = self._find(alike, WITHOUT_PAYLOAD, sort=[("_id", -1)], limit=limit)
        if len(found) < limit:
            times = filter.get("created_at", {})
            until = {key: value for key, value in times.items() if key != "$not"}
            older = {**filter, "created_at": {**until, "$lt": created_at}}
            found += self._find(older, WITHOUT_PAYLOAD, sort=BY_AGE, limit=limit - len(found))
        return found


def asked_behind(
    asked: Document, field: str, after: Place | None
) -> Iterator[tuple[Document, list[tuple[str, int]]]]:
    """What is asked for a page, the newest first, one after the other until it is full, and in
    which order: behind a place what has its very date, and then what is older.

    Args:
        field: the date that they are read by, and their `_id` where it is the same.
        after: where the page before ended; None for the first.
    """
    by_age = [(field, -1), ("_id", -1)]
    if after is None:
        yield asked, by_age
        return
    date, last_id = after
    yield {**asked, field: date, "_id": {"$lt": last_id}}, [("_id", -1)]
    yield {**asked, field: {"$lt": date}}, by_age
