"""The gate: how much of a service may start now, and why not more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.admission.gate import (
    BREAKER_LONGEST,
    PROBE_LOST_AFTER,
    SETTLING_SECONDS,
    Bound,
    GateState,
    Limits,
    Load,
    Room,
    Verdict,
    breaker_pause,
    gate_state,
    read_probe,
    room,
    should_trip,
    window_seconds,
)
from agent.models import Document, Status
from agent.projections.signals import WINDOW_SECONDS, Window
from agent.store.services import Pause

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FENCE = 7
DOWN = {"type": "ServiceFailed"}


def a_pause(**overrides: Any) -> Pause:
    return Pause(
        **{
            "service_type": "ANALYSIS",
            "by": "operator",
            "reason": "maintenance",
            "since": NOW - 60 * SECOND,
            "until": NOW + 60 * SECOND,
            **overrides,
        }
    )


def limits(**overrides: int) -> Limits:
    return Limits(**{"in_flight": 100, "remote": 100, "batch": 20, **overrides})


def load(**overrides: int | None) -> Load:
    values: dict[str, Any] = {"in_flight": 0, "polls": 0, "remote": 0, "capacity": 50, **overrides}
    return Load(**values)


def a_probe(
    status: str = "scheduled", fence: int = FENCE, *, at: int = FENCE, **attempt: Any
) -> Document:
    """A probe as it is read, with its last attempt, made at some fence, if one is given."""
    attempts = [{"fence": at, "definite": True, **attempt}] if attempt else []
    return {"status": status, "fence": fence, "wait_reason": None, "attempts": attempts}


@pytest.mark.parametrize(
    ("pause", "state"),
    [
        (None, GateState.OPEN),
        (a_pause(until=None), GateState.PAUSED),
        (a_pause(until=NOW + SECOND), GateState.PAUSED),
        (a_pause(until=NOW), GateState.PROBING),
        (a_pause(until=NOW - SECOND), GateState.PROBING),
    ],
    ids=["no pause", "without end", "until later", "until now", "until before"],
)
def test_a_pause_closes_the_gate_until_its_end(pause: Pause | None, state: GateState) -> None:
    """From its end on, one call at a time finds out."""
    assert gate_state(pause, NOW) == state


@pytest.mark.parametrize(
    ("limited", "loaded", "expected"),
    [
        (limits(), load(), Room(20, 20, Bound.NONE)),
        (limits(in_flight=100), load(in_flight=97), Room(3, 20, Bound.LIMIT)),
        (limits(in_flight=100), load(in_flight=100), Room(0, 20, Bound.LIMIT)),
        (limits(in_flight=100), load(in_flight=140), Room(0, 20, Bound.LIMIT)),
        (limits(remote=5), load(remote=4), Room(1, 20, Bound.REMOTE)),
        (limits(remote=5), load(remote=9), Room(0, 20, Bound.REMOTE)),
        (limits(), load(capacity=2), Room(2, 2, Bound.BUSY)),
        (limits(), load(capacity=0), Room(0, 0, Bound.BUSY)),
        (limits(), load(capacity=-3), Room(0, 0, Bound.BUSY)),
        (limits(), load(capacity=None), Room(0, 0, Bound.NO_WORKER)),
        (limits(in_flight=10), load(polls=8), Room(10, 2, Bound.LIMIT)),
        (limits(in_flight=10), load(polls=12), Room(10, 0, Bound.LIMIT)),
        (limits(batch=1), load(), Room(1, 1, Bound.NONE)),
    ],
)
def test_an_open_gate_lets_in_what_the_narrowest_bound_leaves(
    limited: Limits, loaded: Load, expected: Room
) -> None:
    """And says which one it was; polls have their own room."""
    assert room(GateState.OPEN, limited, loaded) == expected


def test_a_paused_service_gets_neither_calls_nor_polls() -> None:
    """However free everything else is."""
    assert room(GateState.PAUSED, limits(), load()) == Room(0, 0, Bound.PAUSED)
    assert room(GateState.PAUSED, limits(), load(capacity=None)) == Room(0, 0, Bound.PAUSED)


@pytest.mark.parametrize(
    ("loaded", "probing", "expected"),
    [
        (load(), False, Room(1, 1, Bound.PROBING)),
        (load(), True, Room(0, 0, Bound.PROBING)),
        (load(capacity=0), False, Room(0, 0, Bound.PROBING)),
        (load(in_flight=100), False, Room(1, 1, Bound.PROBING)),
        (load(capacity=None), False, Room(0, 0, Bound.NO_WORKER)),
    ],
    ids=["none under way", "one under way", "no thread free", "limit reached", "no worker"],
)
def test_after_a_pause_one_goes_first(loaded: Load, probing: bool, expected: Room) -> None:
    """One at a time, and only where a thread can take it."""
    assert room(GateState.PROBING, limits(), loaded, probing=probing) == expected


@pytest.mark.parametrize(
    ("calls", "failing", "trips"),
    [(0, 0, False), (9, 9, False), (10, 4, False), (10, 5, True), (11, 5, False), (11, 6, True),
     (1000, 499, False), (1000, 1000, True)],
)  # fmt: skip
def test_the_breaker_opens_when_half_of_enough_calls_failed(
    calls: int, failing: int, trips: bool
) -> None:
    """A few calls say nothing."""
    assert should_trip(Window(calls, failing)) == trips


def test_an_open_breaker_stays_open_longer_each_time() -> None:
    """Twice as long as before, up to a minute, for however many times."""
    seconds = [breaker_pause(trips).total_seconds() for trips in (0, 1, 2, 3, 4, 5, 10**6)]
    assert seconds == [10, 10, 20, 40, 60, 60, 60]
    assert breaker_pause(10**6) == BREAKER_LONGEST


@pytest.mark.parametrize(
    ("seconds_ago", "expected"),
    [(0, 0.0), (9.9, 0.0), (10, 5.0), (20, 15.0), (35, WINDOW_SECONDS), (3600, WINDOW_SECONDS)],
)
def test_the_breaker_does_not_look_back_beyond_the_last_pause(
    seconds_ago: float, expected: float
) -> None:
    """What led to it would open it again at once, so it looks away for a moment."""
    assert SETTLING_SECONDS == 10
    cleared_at = NOW - timedelta(seconds=seconds_ago)
    assert window_seconds(cleared_at, NOW) == pytest.approx(expected)


def test_a_service_that_was_never_paused_is_seen_whole() -> None:
    """The window of the signals is all there is."""
    assert window_seconds(None, NOW) == WINDOW_SECONDS


@pytest.mark.parametrize(
    ("probe", "verdict"),
    [
        (None, Verdict.NOTHING),
        (a_probe("queued"), Verdict.RUNNING),
        (a_probe("processing"), Verdict.RUNNING),
        (a_probe("processing", outcome="retry", at=FENCE - 1), Verdict.RUNNING),
        (a_probe("pending"), Verdict.NOTHING),
        (a_probe("cancelled"), Verdict.NOTHING),
        (a_probe("completed", outcome="completed"), Verdict.GOOD),
        (a_probe(outcome="accepted"), Verdict.GOOD),
        (a_probe("failed", outcome="failed"), Verdict.GOOD),
        (a_probe("failed", outcome="failed", definite=False), Verdict.BAD),
        (a_probe(outcome="retry", error=DOWN), Verdict.BAD),
        (a_probe(outcome="retry", error={"type": "ServiceRefused"}), Verdict.NOTHING),
        (a_probe(outcome="retry"), Verdict.NOTHING),
        (a_probe("failed", outcome="retry", error=DOWN), Verdict.BAD),
        (a_probe(outcome="lost"), Verdict.BAD),
        (a_probe(outcome="snooze"), Verdict.NOTHING),
        ({**a_probe(), "wait_reason": "poll"}, Verdict.GOOD),
        ({**a_probe(), "wait_reason": "crash"}, Verdict.NOTHING),
        (a_probe("queued", fence=FENCE + 1, outcome="retry", error=DOWN), Verdict.BAD),
        (a_probe("queued", fence=FENCE + 1, outcome="completed"), Verdict.GOOD),
        (a_probe("processing", fence=FENCE + 1), Verdict.NOTHING),
    ],
)
def test_a_probe_tells_by_its_attempt(probe: Document | None, verdict: Verdict) -> None:
    """A whole answer, even a refusal, shows that the service is back; a fault that it is not."""
    assert read_probe(probe, FENCE, waited=SECOND) == verdict


@pytest.mark.parametrize("status", [Status.QUEUED, Status.PROCESSING])
def test_a_probe_that_hangs_is_given_up(status: Status) -> None:
    """Another one is let through then."""
    probe = a_probe(status)
    assert read_probe(probe, FENCE, waited=PROBE_LOST_AFTER) == Verdict.RUNNING
    assert read_probe(probe, FENCE, waited=PROBE_LOST_AFTER + SECOND) == Verdict.NOTHING
