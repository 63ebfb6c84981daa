"""What the admission asks: what may be claimed, what is in flight, and the claim itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import bson

from agent.errors import StoreUnavailable
from agent.models import IN_FLIGHT, POLL_CLAIM, Claim, Document, Status
from agent.store import changes
from agent.store.base import Store, ids_of
from agent.store.connection import CODEC
from agent.store.soundness import is_fence, is_past
from agent.store.upkeep import FIRST_DATE

DEEPEST_LOOK = 4000
"""Candidates that one claim reads at most, should calls lie behind what may not be claimed."""

CANDIDATE = {"_id": 1, "fence": 1, "available_at": 1, "remote.accepted_at": 1}
BY_PRIORITY = [("priority", 1), ("available_at", 1)]
BY_AGE = [("available_at", 1)]


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many contexts of one service type and owner are queued or processing."""

    service_type: str
    status: Status
    owner: str | None
    polls: bool
    count: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may be claimed now, in admission order: calls, and polls of accepted work."""

    calls: list[Any]
    polls: list[Any]
    exhausted: bool = False
    """Whether there was nothing more to look at."""


class Claims(Store):
    """Claims, and the counts that decide how many there may be."""

    def claim(
        self,
        service_type: str,
        *,
        calls: int,
        polls: int = 0,
        lease: timedelta,
        owner: str,
        most: int | None = None,
        by_age: bool = False,
        avoid: Any = None,
        has_accepted: bool = True,
    ) -> list[Claim]:
        """Take pending contexts of one service, first by priority, then by age.

        Atomic: two bridges never receive the same context at the same fence.

        Args:
            calls: at most this many that are to be sent.
            polls: at most this many whose accepted work is to be asked for.
            most: at most this many of both together; polls go first.
            lease: how long the claim stands before `rescue` may take it back.
            by_age: leave priority aside, so that the last priority is slow, not starved.
            avoid: a context that is taken only if there is no other.
            has_accepted: whether there may be accepted work, so that a poll is looked for behind
                calls, too.

        Returns:
            One claim for each context taken, in admission order, polls first. The claim of a poll
            says so (`Claim.polls`).

        Raises:
            StoreUnavailable: MongoDB did not answer. Nothing is known to be claimed; what was,
                comes back when its lease runs out.
        """
        if calls <= 0 and polls <= 0:
            return []
        found = self._candidates(service_type, calls, polls, by_age=by_age, avoid=avoid)
        if has_accepted and len(found.polls) < polls and not found.exhausted:
            found = self._with_all_polls(found, service_type, polls, avoid)
        polled = self._take(found.polls[:most], owner=owner, lease=lease, polls=True)
        left = None if most is None else max(0, most - len(polled))
        return polled + self._take(found.calls[:left], owner=owner, lease=lease, polls=False)

    def _candidates(
        self, service_type: str, calls: int, polls: int, *, by_age: bool, avoid: Any
    ) -> Candidates:
        """Read a little more than is wanted; what else tells a candidate is looked at here, since
        any further condition has some servers scan the whole collection."""
        limit = calls + polls + (avoid is not None)
        while True:
            documents = self._find(
                {"service_type": service_type, "status": str(Status.PENDING)},
                CANDIDATE,
                sort=BY_AGE if by_age else BY_PRIORITY,
                limit=limit,
            )
            found = _sort_out(documents, self.now(), calls, polls, avoid)
            exhausted = len(documents) < limit
            if len(found.calls) >= calls or exhausted or limit >= DEEPEST_LOOK:
                return replace(found, exhausted=exhausted)
            limit = min(limit * 4, DEEPEST_LOOK)

    def _with_all_polls(
        self, found: Candidates, service_type: str, polls: int, avoid: Any
    ) -> Candidates:
        """The same with polls that lie behind calls: however long the backlog is, what was accepted
        is asked for, or the service would be full of it for ever."""
        documents = self._find(
            {
                "service_type": service_type,
                "status": str(Status.PENDING),
                "remote.accepted_at": {"$exists": True},
            },
            CANDIDATE,
            sort=BY_AGE,
            limit=polls + (avoid is not None),
            hint="accepted",
        )
        behind = _sort_out(documents, self.now(), 0, polls, avoid).polls
        if found.calls or found.polls:
            behind = [each for each in behind if avoid is None or each != avoid]
        return Candidates(found.calls, behind or found.polls)

    def _take(
        self, ids: Sequence[Any], *, owner: str, lease: timedelta, polls: bool
    ) -> list[Claim]:
        """Claim these, and read back which ones it were, after a network error too."""
        if not ids:
            return []
        claim_id = f"{POLL_CLAIM if polls else 'claim'}_{uuid4().hex}"
        write = changes.claim(
            self.now(), list(ids), owner=owner, claim_id=claim_id, lease=lease, polls=polls
        )
        try:
            self._write_many(write)
        except StoreUnavailable:
            return self._claimed(ids, claim_id)
        return self._claimed(ids, claim_id)

    def _claimed(self, ids: Sequence[Any], claim_id: str) -> list[Claim]:
        documents = self._find(
            {"_id": {"$in": list(ids)}, "lease.claim_id": claim_id, "status": str(Status.QUEUED)},
            {"fence": 1},
        )
        fences = {_key(document["_id"]): document["fence"] for document in documents}
        return [
            Claim(context_id, fences[key], claim_id)
            for context_id, key in zip(ids, map(_key, ids), strict=True)
            if key in fences
        ]

    def queued(self) -> list[tuple[str, Claim]]:
        """Every queued context that has a lease, with its service type: what the broker should
        hold."""
        documents = self._find(
            {"status": str(Status.QUEUED)},
            {"service_type": 1, "fence": 1, "lease.claim_id": 1, "lease.expires_at": 1},
        )
        return [
            (str(document.get("service_type")), Claim(document["_id"], document["fence"], claim_id))
            for document in documents
            if isinstance(lease := document.get("lease"), dict)
            and isinstance(claim_id := lease.get("claim_id"), str)
            and is_fence(document.get("fence"))
        ]

    def in_flight(self) -> list[InFlight]:
        """What is queued or processing, of all services, in one question."""
        statuses = sorted(map(str, IN_FLIGHT))
        group = {
            "service_type": "$service_type",
            "status": "$status",
            "owner": "$lease.owner",
            "polls": {"$gt": ["$remote", None]},
        }
        rows = self._aggregate(
            [
                # parents have no time, so the index leaves them out, however many are open
                {"$match": {"status": {"$in": statuses}, "available_at": {"$gte": FIRST_DATE}}},
                {"$group": {"_id": group, "count": {"$sum": 1}}},
            ]
        )
        return [
            InFlight(
                service_type=str(row["_id"].get("service_type")),
                status=Status(row["_id"]["status"]),
                owner=_owner(row["_id"].get("owner")),
                polls=bool(row["_id"].get("polls")),
                count=row["count"],
            )
            for row in rows
            if isinstance(row["_id"]["status"], str)
        ]

    def count_remote(self) -> dict[str, int]:
        """How much work each service has accepted and not finished."""
        pipeline: list[Document] = [
            {"$match": {"remote.accepted_at": {"$exists": True}}},
            {"$group": {"_id": "$service_type", "count": {"$sum": 1}}},
        ]
        rows = self._aggregate(pipeline, hint="accepted")
        return {str(row["_id"]): row["count"] for row in rows}


def _sort_out(
    documents: Sequence[Document], now: datetime, calls: int, polls: int, avoid: Any
) -> Candidates:
    ready = [document for document in documents if _may_be_claimed(document, now)]
    others = [document for document in ready if avoid is None or document["_id"] != avoid]
    ready = others or ready
    wanted_polls = [document for document in ready if _is_poll(document)]
    wanted_calls = [document for document in ready if not _is_poll(document)]
    return Candidates(ids_of(wanted_calls)[:calls], ids_of(wanted_polls)[:polls])


def _may_be_claimed(document: Document, now: datetime) -> bool:
    """Adopted, and due: the write says it again."""
    return is_fence(document.get("fence")) and is_past(document.get("available_at"), now)


def _is_poll(document: Document) -> bool:
    remote = document.get("remote")
    parts = remote if isinstance(remote, list) else [remote]  # as the server looks into an array
    return any(isinstance(part, dict) and "accepted_at" in part for part in parts)


def _owner(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else repr(value)


def _key(context_id: Any) -> bytes:
    """An id as a key of a dict, whatever BSON value it is."""
    return bson.encode({"_id": context_id}, codec_options=CODEC)
