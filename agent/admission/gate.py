"""The gate of a service: how much of it may start now, and why not more. Pure.

Everything that decides about admission is here: the limit in flight, the room of the workers, the
pause with its probe, the breaker. An adaptive limit and a rate limit find their place in `Limits`
and in `room`: one more bound each, with its own word for why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agent.models import FINAL, Document, Status
from agent.outcomes import SERVICE_AT_FAULT
from agent.projections.signals import WINDOW_SECONDS, Window
from agent.store.services import Pause

BREAKER_CALLS = 10
"""Fewer calls say little: those of a quiet service are tried again one by one anyway."""
BREAKER_RATIO = 0.5
BREAKER_FIRST = timedelta(seconds=10)
BREAKER_LONGEST = timedelta(seconds=60)
PROBE_LOST_AFTER = timedelta(minutes=3)
SETTLING_SECONDS = 10.0
"""After a pause ends the window still shows what led to it; so long the breaker looks away."""


class GateState(StrEnum):
    """Whether calls of a service may start."""

    OPEN = "open"
    PAUSED = "paused"
    PROBING = "probing"
    """The pause is over; one call at a time finds out whether its reason is."""


class Bound(StrEnum):
    """What keeps more from starting, for people who ask why something waits."""

    NONE = "nothing"
    PAUSED = "the service is paused"
    PROBING = "one call finds out whether the service is back"
    LIMIT = "as many are in flight as the service may have"
    REMOTE = "the service has accepted as much unfinished work as it may have"
    NO_WORKER = "no worker is alive for it"
    BUSY = "every thread of its workers is busy"


class Verdict(StrEnum):
    """What a probe told."""

    RUNNING = "running"
    GOOD = "good"
    BAD = "bad"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service may have at most."""

    in_flight: int
    remote: int
    batch: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a service has now.

    Args:
        in_flight: calls queued or processing.
        polls: polls queued or processing.
        remote: work that the service has accepted and not finished.
        capacity: how many more its workers can take now; None when none is alive.
    """

    in_flight: int
    polls: int
    remote: int
    capacity: int | None


@dataclass(frozen=True, slots=True)
class Room:
    """How many may be claimed now, and what keeps it from being more."""

    calls: int
    polls: int
    bound: Bound


def gate_state(pause: Pause | None, now: datetime) -> GateState:
    """What a pause means at this moment."""
    if pause is None:
        return GateState.OPEN
    if pause.until is None or pause.until > now:
        return GateState.PAUSED
    return GateState.PROBING


def room(state: GateState, limits: Limits, load: Load, *, probing: bool = False) -> Room:
    """How much may start.

    Args:
        probing: whether a probe is under way already.
    """
    if state is GateState.PAUSED:
        return Room(0, 0, Bound.PAUSED)
    if load.capacity is None:
        return Room(0, 0, Bound.NO_WORKER)
    if state is GateState.PROBING:
        free = 0 if probing or load.capacity <= 0 else 1
        return Room(free, free, Bound.PROBING)
    bounds = {
        Bound.LIMIT: limits.in_flight - load.in_flight,
        Bound.REMOTE: limits.remote - load.remote,
        Bound.BUSY: load.capacity,
        Bound.NONE: limits.batch,
    }
    bound = min(bounds, key=lambda each: bounds[each])
    calls = max(0, bounds[bound])
    polls = max(0, min(limits.in_flight - load.polls, load.capacity, limits.batch))
    return Room(calls, polls, bound)


def should_trip(window: Window) -> bool:
    """Whether the breaker opens: most of what was tried lately failed by the service's fault."""
    return window.calls >= BREAKER_CALLS and window.failing >= BREAKER_RATIO * window.calls


def breaker_pause(trips: int) -> timedelta:
    """How long the breaker stays open at its `trips`-th time in a row."""
    longest: timedelta = BREAKER_FIRST * 2 ** min(max(trips, 1) - 1, 10)
    return min(longest, BREAKER_LONGEST)


def window_seconds(cleared_at: datetime | None, now: datetime) -> float:
    """How far the breaker looks back; 0 while what led to the last pause would be in sight."""
    if cleared_at is None:
        return WINDOW_SECONDS
    since = (now - cleared_at).total_seconds() - SETTLING_SECONDS / 2
    return 0.0 if since < SETTLING_SECONDS / 2 else min(since, WINDOW_SECONDS)


def read_probe(probe: Document | None, fence: int, *, waited: timedelta) -> Verdict:
    """What the context that was let through tells.

    Args:
        probe: its status, its fence and its last attempt; None when it is gone.
        fence: the one that it was claimed at.
        waited: since it was let through; a probe that hangs for ever holds nothing up.
    """
    if probe is None:
        return Verdict.NOTHING
    status = probe.get("status")
    claimed = probe.get("fence") == fence
    if claimed and status not in FINAL and status in (Status.QUEUED, Status.PROCESSING):
        return Verdict.NOTHING if waited > PROBE_LOST_AFTER else Verdict.RUNNING
    attempts = probe.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else {}
    if not isinstance(last, dict):
        return Verdict.NOTHING
    if last.get("fence") != fence:
        # a poll that goes on leaves no attempt; the service answered it
        return Verdict.GOOD if probe.get("wait_reason") == "poll" else Verdict.NOTHING
    return _read_attempt(last)


def _read_attempt(last: Document) -> Verdict:
    outcome = last.get("outcome")
    if outcome in ("completed", "accepted"):
        return Verdict.GOOD
    if outcome == "failed":
        return Verdict.GOOD if last.get("definite", False) else Verdict.BAD
    error = last.get("error")
    at_fault = isinstance(error, dict) and error.get("type") in SERVICE_AT_FAULT
    return (
        Verdict.BAD if outcome == "lost" or (outcome == "retry" and at_fault) else Verdict.NOTHING
    )
