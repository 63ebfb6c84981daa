"""The views of retries and dead letters page by page, from Redis alone.

What was read is kept while nothing has changed, and else for ten times as long as reading took:
however many pages are open, they cost a process a tenth of its time at most.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import redis
from pydantic_core import from_json

from agent.errors import RequestInvalid
from agent.projections.connection import translate_redis_errors
from agent.projections.entries import Entry
from agent.projections.views import State, View, ViewName, put, view_keys

Sort = Literal["next", "newest", "attempts", "service"]
Choice = Literal["service", "kind", "template", "tag", "reason"]

KEPT_FACTOR = 10
MOST = 500
"""Entries of one page."""

Told = Mapping[str, Any]
Line = tuple[float, Told]
"""When, and what the info says."""


@dataclass(frozen=True, slots=True)
class ViewFilter:
    """Which entries; what is None does not matter.

    Args:
        kind: the fingerprint of the error; of `error_type` its type.
        tag: `name=value`, or a word of a list of tags.
    """

    service: str | None = None
    kind: str | None = None
    error_type: str | None = None
    template: str | None = None
    tag: str | None = None
    reason: str | None = None

    def takes(self, told: Told) -> bool:
        """Whether it is one of them."""
        return (
            (self.service is None or told["service"] == self.service)
            and (self.kind is None or told.get("kind") == self.kind)
            and (self.error_type is None or told.get("type") == self.error_type)
            and (self.template is None or told.get("template") == self.template)
            and (self.reason is None or told.get("reason") == self.reason)
            and (self.tag is None or self.tag in told.get("tags", ()))
        )


EVERYTHING = ViewFilter()


@dataclass(frozen=True, slots=True)
class ViewPage:
    """One page of a view.

    Args:
        total: how many match in all, as far as is known.
        is_exact: False where that is `≈`: the view is full, or is being built anew.
        is_built: False just after Redis lost it; within seconds it is there again.
        next: the cursor of the next page.
    """

    entries: Sequence[Entry]
    total: int
    is_exact: bool
    is_built: bool
    next: str | None = None


@dataclass(frozen=True, slots=True)
class _Loaded:
    lines: Sequence[Line]
    state: State


class ViewPages:
    """One view as people read it. Threads share it, so that they share what was read.

    Every method raises `BrokerUnavailable` when Redis did not answer.
    """

    NAME: ViewName
    FIRST: Sort

    def __init__(
        self,
        client: redis.Redis,
        namespace: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._keys = view_keys(namespace, self.NAME)
        self._view = View(client, namespace, self.NAME)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._good_until = float("-inf")

    def page(
        self,
        sort: Sort | None = None,
        filter: ViewFilter = EVERYTHING,
        *,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ViewPage:
        """Some entries, in order.

        Args:
            sort: by the time, by how often it was tried (most first), or by service and time.
            cursor: `next` of the page before; it is right whatever came or went meanwhile.
            limit: at most so many, and at most 500.

        Raises:
            RequestInvalid: the cursor is none that was answered for this order.
        """
        sort = sort or self.FIRST
        order = _ORDERS[sort]
        loaded = self._load()
        found = sorted(_matching(loaded.lines, filter), key=order)
        first = 0
        if cursor is not None:
            first = bisect_right(found, _read_cursor(cursor, sort), key=order)
        limit = max(1, min(limit, MOST))
        lines = found[first : first + limit]
        is_last = first + limit >= len(found)
        state = loaded.state
        return ViewPage(
            entries=[Entry.of_info(*line) for line in lines],
            total=len(found) + (state.more if filter == EVERYTHING else 0),
            is_exact=state.is_built and not state.more,
            is_built=state.is_built,
            next=None if is_last else _cursor(sort, lines[-1]),
        )

    def words(self, filter: ViewFilter = EVERYTHING) -> list[str]:
        """The ids of all that match, the first ones first, for what is done to all of them."""
        lines = sorted(_matching(self._load().lines, filter), key=_ORDERS[self.FIRST])
        return [told.get("id", told["key"]) for _, told in lines]

    def choices(self, of: Choice, filter: ViewFilter = EVERYTHING) -> list[tuple[str, int]]:
        """What there is to filter by, the most frequent first, with how many there are."""
        counted: Counter[str] = Counter()
        for _, told in _matching(self._load().lines, filter):
            found = told.get("tags", ()) if of == "tag" else (told.get(of),)
            counted.update(word for word in found if word is not None)
        return counted.most_common()

    def remove(self, words: Sequence[str]) -> None:
        """Take out what was just begun anew, cancelled or let run, so that the next page shows it;
        what is not taken out here the bridge corrects."""
        gone = set(words)
        lines = self._load().lines
        keys = [told["key"] for _, told in lines if told.get("id", told["key"]) in gone]
        if keys:
            self._view.remove(keys)
        self._good_until = float("-inf")

    def move(self, words: Sequence[str], at: datetime) -> None:
        """Show another time for what was just postponed, as `remove` does."""
        moved = set(words)
        entries = [
            replace(Entry.of_info(*line), at=at)
            for line in self._load().lines
            if line[1].get("id", line[1]["key"]) in moved
        ]
        with translate_redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            put(pipeline, self._namespace, self.NAME, entries)
            pipeline.execute()
        self._good_until = float("-inf")

    def _load(self) -> _Loaded:
        with self._lock:
            began = self._monotonic()
            if self._loaded is None or began >= self._good_until:
                state = self._view.state()
                if self._loaded is None or state != self._loaded.state:
                    self._loaded = _Loaded(self._lines(), state)
                self._good_until = self._monotonic() + KEPT_FACTOR * (self._monotonic() - began)
            return self._loaded

    def _lines(self) -> list[Line]:
        with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.zrange(self._keys[0], 0, -1, withscores=True)
            pipeline.hvals(self._keys[1])
            found, infos = pipeline.execute()
        try:
            read = from_json("[" + ",".join(infos) + "]")  # ten times as quick as one by one
        except ValueError:  # somebody else's among them
            read = [_read_info(info) for info in infos]
        scores = dict(found)
        return [(scores[told["key"]], told) for told in read if _is_told(told, scores)]


class RetriesView(ViewPages):
    """What is to be tried again, the next one first."""

    NAME = "retries"
    FIRST = "next"


class DeadView(ViewPages):
    """What failed, the newest first."""

    NAME = "dead"
    FIRST = "newest"


Place = tuple[Any, ...]
Order = Callable[[Line], Place]

_ORDERS: Mapping[Sort, Order] = {
    "next": lambda line: (line[0], line[1]["key"]),
    "newest": lambda line: (-line[0], line[1]["key"]),
    "attempts": lambda line: (-line[1]["attempt"], line[0], line[1]["key"]),
    "service": lambda line: (line[1]["service"], line[0], line[1]["key"]),
}


def _matching(lines: Sequence[Line], filter: ViewFilter) -> Sequence[Line]:
    return lines if filter == EVERYTHING else [line for line in lines if filter.takes(line[1])]


def _is_told(told: Any, scores: Mapping[str, float]) -> bool:
    """Whether it has what lines are ordered by; somebody else may have written it."""
    return (
        isinstance(told, dict)
        and isinstance(told.get("key"), str)
        and told["key"] in scores
        and isinstance(told.get("service"), str)
        and isinstance(told.get("attempt"), int)
    )


def _read_info(info: str) -> Any:
    try:
        return from_json(info)
    except ValueError:
        return None


def _cursor(sort: Sort, line: Line) -> str:
    """Where a page ended, as a word that says nothing to anybody else."""
    place = json.dumps([sort, *_ORDERS[sort](line)])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _read_cursor(word: str, sort: Sort) -> Place:
    """The place that `_cursor` was given.

    Raises:
        RequestInvalid: it is no cursor of this order.
    """
    refused = RequestInvalid("`cursor` is none that was answered for this order; begin without it")
    try:
        padded = word + "=" * (-len(word) % 4)
        named, *place = json.loads(base64.b64decode(padded.encode("ascii"), b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise refused from None
    pattern = _ORDERS[sort]((0.0, {"key": "", "service": "", "attempt": 0}))
    alike = [isinstance(each, str) for each in place] == [isinstance(each, str) for each in pattern]
    if named != sort or not alike or not all(isinstance(each, str | int | float) for each in place):
        raise refused
    return tuple(place)
