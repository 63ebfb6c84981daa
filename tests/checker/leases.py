"""Rules about leases, in the server's time: who held a context, from when until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from agent.models import IN_FLIGHT, Document
from tests.checker.changes import CLOCK_ERROR
from tests.checker.events import Step, count
from tests.checker.history import Life


@dataclass(frozen=True, slots=True)
class Hold:
    """One owner's time with a context: of a claim, or from a start on.

    Args:
        until: when its lease was given up, or else when it ran out.
    """

    claim_id: Any
    token: Any
    since: datetime
    until: datetime | None


def is_leased_in_flight(life: Life) -> Iterator[str]:
    """What is queued or processing has a lease that can run out, and nothing else has one."""
    for step in life.steps:
        status, lease = step.after.get("status"), lease_of(step.after)
        if step.is_foreign or not step.is_whole or not step.after:
            continue
        if status in IN_FLIGHT and expiry_of(step.after) is None:
            yield f"is {status} without a lease"
        elif status not in IN_FLIGHT and lease:
            yield f"is {status} with a lease"


def is_started_by_its_claim(life: Life) -> Iterator[str]:
    """A start keeps the claim that it was sent for, and writes a token that is new."""
    tokens: set[Any] = set()
    for step in life.steps:
        if step.moved != ("queued", "processing"):
            continue
        before, after = lease_of(step.before or {}), lease_of(step.after)
        if before and before.get("claim_id") != after.get("claim_id"):
            yield "was started for another claim than it was queued for"
        token = after.get("token")
        if not token or token in tokens:
            yield "was started without a token of its own"
        tokens.add(token)


def changes_hands_only_when_free(life: Life) -> Iterator[str]:
    """From one owner to another a context goes by way of none."""
    for step in life.steps:
        before, after = lease_of(step.before or {}), lease_of(step.after)
        if not before or not after:
            continue
        names = ("claim_id",) if before.get("token") is None else ("claim_id", "token", "owner")
        if any(before.get(name) != after.get(name) for name in names):
            yield "went from one owner to another directly"


def is_renewed_forwards(life: Life) -> Iterator[str]:
    """A running context's lease is only ever made longer."""
    for step in life.steps:
        before, after = step.before or {}, step.after
        same = lease_of(before).get("token") and _holder(before) == _holder(after)
        old, new = expiry_of(before), expiry_of(after)
        if same and old and new and new < old - CLOCK_ERROR:
            yield f"its lease was cut from {old:%H:%M:%S} to {new:%H:%M:%S}"


def is_rescued_only_when_expired(life: Life) -> Iterator[str]:
    """Nobody takes a context from its owner before the lease has run out."""
    for step in life.steps:
        expires_at = expiry_of(step.before or {})
        if expires_at and is_rescue(step, life) and expires_at > step.event.at + CLOCK_ERROR:
            early = (expires_at - step.event.at).total_seconds()
            yield f"was taken {early:.1f} s before its lease ran out"


def leases_never_overlap(life: Life) -> Iterator[str]:
    """At no moment two owners could believe that they hold it."""
    for earlier, later in pairwise(holds(life)):
        if earlier.until is None or later.since >= earlier.until - CLOCK_ERROR:
            continue
        if earlier.claim_id == later.claim_id and earlier.token is None:
            continue  # a start, for the claim before
        over = (earlier.until - later.since).total_seconds()
        yield f"was held by two for {over:.1f} s"


def holds(life: Life) -> list[Hold]:
    """Who held it, one after the other."""
    found: list[Hold] = []
    for step in life.steps:
        before, after = step.before or {}, step.after
        if found and step.is_foreign:
            found[-1] = replace(found[-1], until=step.event.at)
        if lease_of(after) and _holder(after) != _holder(before):
            found.append(Hold(*_holder(after), step.event.at, None))
        if found and lease_of(after):
            found[-1] = replace(found[-1], until=expiry_of(after))
        elif found and (lease_of(before) or step.before is None) and not is_rescue(step, life):
            # after a gap nobody knows whether it had been given up before
            found[-1] = replace(found[-1], until=step.event.at)
    return found


def is_rescue(step: Step, life: Life) -> bool:
    """Whether a write took a context from its owner, because that seemed to be dead."""
    if not lease_of(step.before or {}) or step.moved is None:
        return False
    old, _new = step.moved
    if old == "processing":
        crashes = step.both("crashes")
        return crashes is not None and crashes[1] > crashes[0]
    fence = count(step.before, "fence")
    rescued = life.logged.get("context.rescued", [])
    return any(line.get("fence") == fence and line.get("was") == "queued" for line in rescued)


def lease_of(document: Document) -> Document:
    """The lease of a document; an empty one where there is none."""
    lease = document.get("lease")
    return lease if isinstance(lease, dict) else {}


def expiry_of(document: Document) -> datetime | None:
    """When its lease runs out, if it has one that does."""
    expires_at = lease_of(document).get("expires_at")
    return expires_at if isinstance(expires_at, datetime) else None


def _holder(document: Document) -> tuple[Any, Any]:
    lease = lease_of(document)
    return lease.get("claim_id"), lease.get("token")
