"""What failed, by kind: the service and the fingerprint of the error.

Bounded, however many there are: up to `COUNTED` are grouped in one question, which the index
answers without reading a context. Of more than that each kind is looked at for itself, and is
counted no further than `COUNTED`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.models import Document
from agent.store.base import Store
from agent.store.selection import UNKNOWN, Selection
from agent.words import shortened

COUNTED = 20_000
"""Failures that are counted: all of them, or of one kind."""
MOST_KINDS = 100
"""That are looked at one by one; each takes five questions."""

FAILED: Document = {"status": "failed"}
FINGERPRINT = "error.fingerprint"
INDEX = "dead"
PARENTS = ("REQUEST", "BATCH")
"""Service types of parents: what failed of them stands with their children."""
ORDER = ("service_type", FINGERPRINT, "completed_at")
CHILDREN_COUNTED = 2_000
"""Failures that are counted of one parent: each of them is read."""
LONGEST_TEXT = 500
TREND_STEP = timedelta(hours=2)
TREND_STEPS = 12
EXAMPLE = {"service_type": 1, FINGERPRINT: 1, "error.type": 1, "error.message": 1,
           "completed_at": 1}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Contexts of one service that failed alike.

    Args:
        kind: the fingerprint; `unknown` stands for all that have none.
        service_type: None for documents of other programs that say no service.
        is_exact: whether `count` is all of them; if not, there are more.
        error_type: of the example, which is the one that failed last.
        trend: how many failed in each two hours of the last day, the latest last.
    """

    kind: str
    service_type: str | None
    count: int
    is_exact: bool
    first_at: datetime | None
    last_at: datetime | None
    example_id: Any
    error_type: str | None
    message: str | None
    trend: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetterList:
    """The kinds, the most numerous first. `is_complete` is False when there are further ones."""

    kinds: list[DeadLetters]
    is_complete: bool = True


class DeadLetterReads(Store):
    """What an operator asks after a bad night: what failed, how often, since when."""

    def dead_letters(
        self, *, service_type: str | None = None, since: datetime | None = None
    ) -> DeadLetterList:
        """The kinds of what failed.

        Args:
            service_type: only of this one.
            since: only what failed then or later.

        Raises:
            RequestInvalid: a value has the wrong type.
            StoreUnavailable: MongoDB did not answer.
        """
        Selection(service_type=service_type, since=since)  # or it is no value to compare with
        groups = self._groups(service_type, since)
        if sum(group["all"] for group in groups) <= COUNTED:
            alone = [group for group in groups if group["_id"].get("service") not in PARENTS]
            kinds, is_complete = self._told(alone), True
        else:
            places = list(self._places(service_type))
            found = [self._look_at(*place, since) for place in places[:MOST_KINDS]]
            kinds = [each for each in found if each is not None]
            is_complete = len(places) <= MOST_KINDS
        kinds.sort(key=lambda each: (-each.count, each.service_type or "", each.kind))
        return DeadLetterList(kinds, is_complete)

    def failures_of(self, parent_id: Any) -> DeadLetterList:
        """The kinds of what failed among the children of a request or batch; where there are very
        many, of the first of them.

        Raises:
            StoreUnavailable: MongoDB did not answer.
        """
        group = {
            "_id": {"service": "$service_type", "kind": f"${FINGERPRINT}"},
            "count": {"$sum": 1},
            "first_at": {"$min": "$completed_at"},
            "last_at": {"$max": "$completed_at"},
            "example": {"$first": "$_id"},
        }
        groups = self._aggregate(
            [{"$match": {"parent_id": parent_id, **FAILED}}, {"$limit": CHILDREN_COUNTED},
             {"$group": group}],
            hint="family",
        )  # fmt: skip
        kinds = sorted(self._told(groups), key=lambda each: (-each.count, each.kind))
        return DeadLetterList(kinds, sum(each.count for each in kinds) < CHILDREN_COUNTED)

    def _groups(self, service_type: str | None, since: datetime | None) -> list[Document]:
        """The first failures in the order of the index, grouped: all, if they are that few."""
        asked = FAILED if service_type is None else {**FAILED, "service_type": service_type}
        recent: Any = True if since is None else {"$gte": ["$completed_at", since]}
        when = {"$cond": [recent, "$completed_at", None]}
        step = _step(self.now())
        group = {
            "_id": {"service": "$service_type", "kind": f"${FINGERPRINT}", "step": step},
            "all": {"$sum": 1},
            "count": {"$sum": {"$cond": [recent, 1, 0]}},
            "first_at": {"$min": when},
            "last_at": {"$max": when},
            "example": {"$last": "$_id"},
        }
        order = {name: 1 for name in ORDER if name not in asked}
        # no hint: the order is the index's, and a hint has some servers read whole contexts
        found = self._aggregate(
            [{"$match": asked}, {"$sort": order}, {"$limit": COUNTED + 1}, {"$group": group}]
        )
        return _folded(found)

    def _told(self, groups: list[Document]) -> list[DeadLetters]:
        """The groups with their examples; those that differ in what is no text are one."""
        groups = [group for group in groups if group["count"]]
        ids = [group["example"] for group in groups]
        examples = {
            repr(found["_id"]): found for found in self._find({"_id": {"$in": ids}}, EXAMPLE)
        }
        together: dict[tuple[str | None, str], DeadLetters] = {}
        for group in groups:
            key = group["_id"]
            example = examples.get(repr(group["example"]), {"_id": group["example"]})
            told = _told(
                example, key.get("service"), key.get("kind"), count=group["count"],
                first_at=group["first_at"], last_at=group["last_at"],
                trend=group.get("trend", ()),
            )  # fmt: skip
            place = (told.service_type, told.kind)
            together[place] = _joined(together[place], told) if place in together else told
        return list(together.values())

    # One by one: the index is skipped through, from kind to kind

    def _places(self, service_type: str | None) -> Iterator[tuple[str | None, str]]:
        """Each service with each of its kinds; one more than are looked at, at most."""
        count = 0
        for service in self._services() if service_type is None else (service_type,):
            for kind in self._kinds(service):
                yield service, kind
                count += 1
                if count > MOST_KINDS:
                    return

    def _services(self) -> Iterator[str | None]:
        if self._first({"service_type": None}):
            yield None
        after = ""
        while found := self._first({"service_type": {"$gt": after}}, "service_type"):
            service = found.get("service_type")
            if not isinstance(service, str):  # a list of them
                return
            after = service
            if service not in PARENTS:
                yield service

    def _kinds(self, service_type: str | None) -> Iterator[str]:
        place: Document = {"service_type": service_type}
        if self._first({**place, FINGERPRINT: None}):
            yield UNKNOWN
        after = ""
        while found := self._first({**place, FINGERPRINT: {"$gt": after}}, FINGERPRINT):
            error = found.get("error")
            if not isinstance(error, dict) or not isinstance(error.get("fingerprint"), str):
                return
            yield (after := error["fingerprint"])

    def _look_at(
        self, service_type: str | None, kind: str, since: datetime | None
    ) -> DeadLetters | None:
        place: Document = {"service_type": service_type}
        place[FINGERPRINT] = None if kind == UNKNOWN else kind
        if since is not None:
            place["completed_at"] = {"$gte": since}
        last = self._first(place, "completed_at", descending=True)
        first = self._first(place, "completed_at")
        if first is None or last is None:
            return None
        counted = self._aggregate(
            [{"$match": FAILED | place}, {"$limit": COUNTED + 1}, {"$count": "n"}], hint=INDEX
        )
        count = counted[0]["n"] if counted else 1
        now = self.now()
        begins_at = now - TREND_STEPS * TREND_STEP
        lately = FAILED | place | {"completed_at": {"$gte": max(since or begins_at, begins_at)}}
        by_step = self._aggregate(
            [{"$match": lately}, {"$sort": {"completed_at": -1}}, {"$limit": COUNTED + 1},
             {"$group": {"_id": _step(now), "count": {"$sum": 1}}}],
            hint=INDEX,
        )  # fmt: skip
        return _told(
            last, service_type, kind, count=min(count, COUNTED), is_exact=count <= COUNTED,
            first_at=first.get("completed_at"), last_at=last.get("completed_at"),
            trend=_trend({each["_id"]: each["count"] for each in by_step}),
        )  # fmt: skip

    def _first(
        self, place: Document, sort: str | None = None, *, descending: bool = False
    ) -> Document | None:
        order = None if sort is None else [(sort, -1 if descending else 1)]
        found = self._find(FAILED | place, EXAMPLE, sort=order, limit=1, hint=INDEX)
        return found[0] if found else None


def _step(now: datetime) -> Document:
    """In which step of the trend a context failed, counted back from 0; after them, if in none."""
    branches = [
        {"case": {"$gte": ["$completed_at", now - (step + 1) * TREND_STEP]}, "then": step}
        for step in range(TREND_STEPS)
    ]
    return {"$switch": {"branches": branches, "default": TREND_STEPS}}


def _folded(groups: Sequence[Document]) -> list[Document]:
    """Groups by kind and step as groups by kind, each with its trend."""
    kinds: dict[str, Document] = {}
    for group in sorted(groups, key=lambda each: int(each["_id"]["step"])):  # the latest first
        place = {name: value for name, value in group["_id"].items() if name != "step"}
        kind = kinds.setdefault(
            repr(place), {**group, "_id": place, "all": 0, "count": 0, "steps": {}}
        )
        kind["all"] += group["all"]
        if not group["count"]:
            continue
        if not kind["count"]:
            kind |= {name: group[name] for name in ("last_at", "example")}
        kind["first_at"] = group["first_at"] or kind["first_at"]
        kind["count"] += group["count"]
        kind["steps"][group["_id"]["step"]] = group["count"]
    return [{**each, "trend": _trend(each["steps"])} for each in kinds.values()]


def _trend(counts: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(counts.get(step, 0) for step in range(TREND_STEPS - 1, -1, -1))


def _told(
    example: Document,
    service: Any,
    kind: Any,
    *,
    count: int,
    first_at: Any,
    last_at: Any,
    is_exact: bool = True,
    trend: Sequence[int] = (),
) -> DeadLetters:
    """What other programs wrote may be of any type."""
    error = example.get("error")
    error = error if isinstance(error, dict) else {}
    return DeadLetters(
        kind=kind if isinstance(kind, str) else UNKNOWN,
        service_type=service if isinstance(service, str) else None,
        count=count,
        is_exact=is_exact,
        first_at=first_at if isinstance(first_at, datetime) else None,
        last_at=last_at if isinstance(last_at, datetime) else None,
        example_id=example["_id"],
        error_type=_text(error.get("type")),
        message=_text(error.get("message")),
        trend=tuple(trend),
    )


def _joined(one: DeadLetters, other: DeadLetters) -> DeadLetters:
    firsts = [each.first_at for each in (one, other) if each.first_at is not None]
    lasts = [each.last_at for each in (one, other) if each.last_at is not None]
    return DeadLetters(
        kind=one.kind,
        service_type=one.service_type,
        count=one.count + other.count,
        is_exact=True,
        first_at=min(firsts, default=None),
        last_at=max(lasts, default=None),
        example_id=one.example_id,
        error_type=one.error_type,
        message=one.message,
        trend=tuple(a + b for a, b in zip(one.trend, other.trend, strict=True)),
    )


def _text(value: Any) -> str | None:
    return None if value is None else shortened(str(value), LONGEST_TEXT)
