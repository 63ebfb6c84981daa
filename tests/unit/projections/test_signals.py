"""What workers saw, as the gate and the metrics read it."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from agent.errors import BrokerUnavailable
from agent.projections.counters import read_counters
from agent.projections.signals import (
    LocalSignals,
    SharedSignals,
    Signals,
    SignalView,
    Window,
    forbidden_streak,
    read_window,
)


class Clock:
    """A monotonic clock that stands still until moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def saw(
    signals: Signals,
    outcome: str = "completed",
    *,
    service: str = "ANALYSIS",
    failing: bool = False,
    forbidden: bool = False,
    context: str = "ctx_1",
    seconds: float = 0.2,
    pickup: float | None = 0.015,
) -> None:
    signals.record(
        service,
        outcome=outcome,
        failing=failing,
        forbidden=forbidden,
        context_key=context,
        seconds=seconds,
        pickup_seconds=pickup,
    )


class Away(redis.Redis):
    """A Redis that does not answer."""

    def __init__(self) -> None:
        super().__init__(host="127.0.0.1", port=1, retry=None)  # type: ignore[arg-type]


class Seen:
    """One way of recording and reading, to test both alike."""

    def __init__(self, kind: str, client: redis.Redis) -> None:
        self.client = client
        self.clock = Clock()
        self.view: SignalView
        if kind == "local":
            local = LocalSignals("agent", monotonic=self.clock)
            self.signals: Signals = local
            self.view = local
        else:
            self.signals = Signals("agent", monotonic=self.clock)
            self.view = SharedSignals(client, "agent")
        self.flushes = kind == "shared"

    def flush(self) -> None:
        if self.flushes:
            self.signals.flush(self.client)


@pytest.fixture(params=["local", "shared"])
def seen(request: pytest.FixtureRequest, client: redis.Redis) -> Seen:
    return Seen(request.param, client)


def test_the_window_counts_the_calls_and_failures_of_each_service(seen: Seen) -> None:
    """Services do not mix, and one without calls is empty."""
    saw(seen.signals)
    saw(seen.signals, "retry", failing=True)
    saw(seen.signals, "snooze", service="GENERATIVE")
    seen.flush()
    windows = seen.view.window(["ANALYSIS", "GENERATIVE", "OTHER"])
    assert (windows["ANALYSIS"].calls, windows["ANALYSIS"].failing) == (2, 1)
    assert Window(1, 0, None) == windows["GENERATIVE"]
    assert Window() == windows["OTHER"]


def test_the_age_of_the_last_success_is_known_beyond_the_window(seen: Seen) -> None:
    """A service that only fails still has the time of its last success."""
    saw(seen.signals)
    seen.clock.now += 50
    saw(seen.signals, "retry", failing=True)
    seen.flush()
    window = seen.view.window(["ANALYSIS"])["ANALYSIS"]
    assert (window.calls, window.failing) == (1, 1)
    assert window.last_success_age_seconds == pytest.approx(50, abs=2)


def test_what_ended_without_the_service_is_no_call(seen: Seen) -> None:
    """A lost lease or a stale write says nothing about the service."""
    saw(seen.signals, "lost", failing=True)
    saw(seen.signals, "stale")
    seen.flush()
    assert Window() == seen.view.window(["ANALYSIS"])["ANALYSIS"]


def test_a_streak_counts_each_refused_context_once(seen: Seen) -> None:
    """Five refusals of one recipient are not five contexts."""
    for context in ("a", "b", "b"):
        saw(seen.signals, "failed", forbidden=True, context=context)
        seen.flush()
    assert seen.view.forbidden_streak("ANALYSIS") == 2
    assert seen.view.forbidden_streak("OTHER") == 0


@pytest.mark.parametrize(
    ("outcome", "failing", "left"),
    [
        ("completed", False, 1),
        ("failed", False, 1),
        ("accepted", False, 1),
        ("retry", True, 3),
        ("failed", True, 3),
        ("snooze", False, 3),
        ("stale", False, 3),
    ],
)
def test_only_a_definite_other_outcome_breaks_a_streak(
    seen: Seen, outcome: str, failing: bool, left: int
) -> None:
    """A 503 or a 429 says nothing about whether the key is right."""
    saw(seen.signals, "failed", forbidden=True, context="a")
    saw(seen.signals, "failed", forbidden=True, context="b")
    seen.flush()
    saw(seen.signals, outcome, failing=failing)
    saw(seen.signals, "failed", forbidden=True, context="c")
    seen.flush()
    assert left == seen.view.forbidden_streak("ANALYSIS")


def test_counts_are_kept_while_redis_is_away_and_added_once_it_is_back(
    client: redis.Redis,
) -> None:
    """Nothing is lost, and nothing counts twice."""
    signals = Signals("agent")
    saw(signals, "failed", forbidden=True, context="a")
    with pytest.raises(BrokerUnavailable):
        signals.flush(Away())
    saw(signals, "failed", forbidden=True, context="b")
    with pytest.raises(BrokerUnavailable):
        signals.flush(Away())
    signals.flush(client)
    signals.flush(client)
    assert read_window(client, "agent", ["ANALYSIS"])["ANALYSIS"].calls == 2
    assert forbidden_streak(client, "agent", "ANALYSIS") == 2
    counted = read_counters(client, "agent", ["ANALYSIS"])
    assert counted.attempts == {("ANALYSIS", "failed"): 2}


def test_an_outage_does_not_flood_the_window_afterwards(client: redis.Redis) -> None:
    """What is older than the gate looks back is gone from it, though not from the metrics."""
    clock = Clock()
    signals = Signals("agent", monotonic=clock)
    for _ in range(300):
        saw(signals, "retry", failing=True)
        clock.now += 1
    assert len(signals._pending.tallies) <= 122
    signals.flush(client)
    window = read_window(client, "agent", ["ANALYSIS"])["ANALYSIS"]
    assert 25 <= window.calls <= 40
    assert read_counters(client, "agent", []).attempts["ANALYSIS", "retry"] == 300


def test_a_refusal_by_redis_is_not_repeated_for_ever(client: redis.Redis) -> None:
    """A key of a wrong type costs one flush."""
    client.set("agent:metrics:attempts", "somebody's")
    signals = Signals("agent")
    saw(signals)
    with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
        signals.flush(client)
    client.delete("agent:metrics:attempts")
    signals.flush(client)
    assert read_counters(client, "agent", []).attempts == {}


def test_buckets_expire_and_nothing_else_is_left(client: redis.Redis) -> None:
    """Each key of the gate has an end."""
    signals = Signals("agent")
    saw(signals)
    saw(signals, "failed", forbidden=True)
    signals.flush(client)
    keys = list(client.scan_iter("agent:gate:*"))
    assert len(keys) == 3
    assert all(0 < client.ttl(key) <= 24 * 3600 for key in keys)


def test_threads_record_without_losing_any() -> None:
    """Eight threads count what they saw."""
    signals = LocalSignals("agent")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2000):
            pool.submit(saw, signals)
    assert signals.window(["ANALYSIS"])["ANALYSIS"].calls == 2000


def test_durations_fall_into_cumulative_buckets(client: redis.Redis) -> None:
    """The last bucket holds all, and the sum is the sum; what is no duration counts as zero."""
    signals = Signals("agent")
    for seconds in (0.01, 0.2, 7200.0, math.nan, -1.0):
        saw(signals, seconds=seconds, pickup=None)
    signals.flush(client)
    counted = read_counters(client, "agent", ["ANALYSIS", "OTHER"])
    buckets = dict(counted.timings["attempt_seconds", "ANALYSIS"].buckets)
    assert tuple(buckets[bound] for bound in ("0.01", "0.25", "3600", "+Inf")) == (3, 4, 4, 5)
    assert counted.timings["attempt_seconds", "ANALYSIS"].sum == pytest.approx(7200.21)
    assert counted.timings["pickup_seconds", "ANALYSIS"].buckets[-1] == ("+Inf", 0)
    assert counted.timings["attempt_seconds", "OTHER"].buckets[-1] == ("+Inf", 0)


def test_bounds_of_another_version_stay_in_the_count(client: redis.Redis) -> None:
    """A histogram that two versions wrote still adds up."""
    client.hset("agent:metrics:attempt_seconds:A", mapping={"0.07": 2, "+Inf": 1, "sum": "9.5"})
    buckets = read_counters(client, "agent", ["A"]).timings["attempt_seconds", "A"].buckets
    assert buckets[-1] == ("+Inf", 3)
    assert [float(bound) for bound, _ in buckets] == sorted(float(bound) for bound, _ in buckets)


def test_stale_writes_and_expired_leases_have_their_totals(client: redis.Redis) -> None:
    """Those of an attempt and those of none are one total."""
    signals = Signals("agent")
    saw(signals, "stale")
    signals.count_stale()
    signals.count_expired(4)
    signals.flush(client)
    counted = read_counters(client, "agent", [])
    assert (counted.stale_fence_total, counted.leases_expired_total) == (2, 4)
