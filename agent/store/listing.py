"""Contexts page by page, the newest first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from bson.min_key import MinKey

from agent.models import Document
from agent.store.base import LONGEST_QUERY_MS
from agent.store.connection import translated
from agent.store.operations import WITHOUT_PAYLOAD, Operations
from agent.store.raw import legible
from agent.store.selection import Selection

BY_AGE = [("created_at", -1), ("_id", -1)]
REMEMBERED = 500
REMEMBERED_SECONDS = 60.0
"""It is remembered of so many pages for so long how far they reach."""
WINDOW = 20_000
"""Contexts that one page of a search looks through."""

GUESS = timedelta(hours=1)
"""A page that nobody has read before is first looked for in so long a time."""
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


class Reach(NamedTuple):
    """How far a page that was full reached, and when that was seen, by the monotonic clock."""

    date: datetime
    seen_at: float


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
        key = repr((selection, limit, after))
        reach = self._reach.get(key)
        if reach is None and after is None:  # of a busy system a page holds a few minutes
            reach = Reach((selection.until or self.now()) - GUESS, time.monotonic())
        page = self._page_since(reach, selection, limit, after)
        page = page or self._searched(selection, limit, after)
        if (place := place_of(page.found, limit)) is not None:
            self._remember(key, Reach(place[0], time.monotonic()))
        return page

    @cached_property
    def _reach(self) -> dict[str, Reach]:
        """By page. Whoever reads one again has no server sort what lies behind it."""
        return {}

    def _remember(self, key: str, reach: Reach) -> None:
        if len(self._reach) >= REMEMBERED:
            self._reach.clear()
        self._reach[key] = reach

    def _page_since(
        self, reach: Reach | None, selection: Selection, limit: int, after: Place | None
    ) -> Page | None:
        """The page, if it reaches no farther than it did: then nothing older is on it."""
        if reach is None or time.monotonic() - reach.seen_at > REMEMBERED_SECONDS:
            return None  # so much may be newer that it would have to look through too much
        since = reach.date if selection.since is None else max(reach.date, selection.since)
        found = self.page_of_contexts(replace(selection, since=since), limit=limit, after=after)
        place = place_of(found, limit)
        return None if place is None else Page(found, place)

    def _searched(self, selection: Selection, limit: int, after: Place | None) -> Page:
        everything = Selection(since=selection.since, until=selection.until)
        times = everything.filter(since_field="created_at")
        edge = self._edge_of(times, after, WINDOW) if selection != everything else None
        looked = selection if edge is None else replace(selection, since=edge)
        found = self.page_of_contexts(looked, limit=limit, after=after)
        if (place := place_of(found, limit)) is not None:
            return Page(found, place)
        return Page(found, None if edge is None else (edge, MinKey()))

    def _edge_of(self, asked: Document, after: Place | None, window: int) -> datetime | None:
        """The date at which the window ends that begins there; None: it has all that there is."""
        times: Document = {"$lte": after[0]} if after is not None else {}
        times |= asked.get("created_at", {})
        filter = asked | ({"created_at": times} if times else {})
        with translated():
            if self.contexts.estimated_document_count(maxTimeMS=LONGEST_QUERY_MS) <= window:
                return None  # told by the server without looking at any
            cursor = self._raw_contexts.find(filter, {"_id": 0, "created_at": 1})
            ended = list(cursor.sort(BY_AGE).skip(window).limit(1).max_time_ms(LONGEST_QUERY_MS))
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


def place_of(found: list[Document], limit: int) -> Place | None:
    """Where a page ends that is full; None where it is not, or where that cannot be said."""
    last = found[-1] if len(found) == limit else None
    created_at = last.get("created_at") if last is not None else None
    if last is None or not isinstance(created_at, datetime):
        return None
    return created_at, last["_id"]


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
