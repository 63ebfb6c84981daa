"""Cumulative counts for `/metrics`: workers often have no port, so they count in Redis.

They only grow; when Redis loses them they begin again at 0, which Prometheus reads as a restart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import redis
from redis.client import Pipeline

from agent.projections.connection import translate_redis_errors

Timing = Literal["attempt_seconds", "pickup_seconds"]
Total = Literal["stale_fence_total", "leases_expired_total"]

BOUNDS: Mapping[Timing, tuple[float, ...]] = {
    "attempt_seconds": (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 3600),
    "pickup_seconds": (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
}
_FIELDS = {
    timing: [*(f"{bound:g}" for bound in bounds), "+Inf"] for timing, bounds in BOUNDS.items()
}
_SUM = "sum"


class Counters:
    """What was counted and not written yet. Not thread-safe: its owner has the lock."""

    def __init__(self) -> None:
        self.attempts: Counter[str] = Counter()
        self.totals: Counter[Total] = Counter()
        self.timings: defaultdict[tuple[Timing, str], Counter[str]] = defaultdict(Counter)
        self.sums: Counter[tuple[Timing, str]] = Counter()

    def __bool__(self) -> bool:
        return bool(self.attempts or self.totals or self.timings)

    def count_attempt(self, service_type: str, outcome: str) -> None:
        """One attempt more with this outcome."""
        self.attempts[f"{service_type}|{outcome}"] += 1

    def observe(self, timing: Timing, service_type: str, seconds: float) -> None:
        """One duration more; what is no duration (negative, NaN) counts as 0."""
        seconds = seconds if 0 <= seconds < float("inf") else 0.0
        bucket = _FIELDS[timing][bisect_left(BOUNDS[timing], seconds)]
        self.timings[timing, service_type][bucket] += 1
        self.sums[timing, service_type] += seconds  # type: ignore[assignment]  # typeshed: int

    def add(self, newer: Counters) -> None:
        """Take over what another one holds."""
        self.attempts.update(newer.attempts)
        self.totals.update(newer.totals)
        self.sums.update(newer.sums)
        for key, buckets in newer.timings.items():
            self.timings[key].update(buckets)

    def queue_on(self, pipeline: Pipeline, namespace: str) -> None:
        """Put the increments on a pipeline."""
        for name, count in self.attempts.items():
            pipeline.hincrby(f"{namespace}:metrics:attempts", name, count)
        for total, count in self.totals.items():
            pipeline.hincrby(f"{namespace}:metrics:totals", total, count)
        for (timing, service_type), buckets in self.timings.items():
            key = f"{namespace}:metrics:{timing}:{service_type}"
            for bucket, count in buckets.items():
                pipeline.hincrby(key, bucket, count)
            pipeline.hincrbyfloat(key, _SUM, self.sums[timing, service_type])


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram: how many took at most so long (cumulative, the last bound is `+Inf`)."""

    buckets: list[tuple[str, int]]
    sum: float


@dataclass(frozen=True, slots=True)
class Counted:
    """What all processes counted so far."""

    attempts: dict[tuple[str, str], int] = field(default_factory=dict)
    """By service type and outcome."""
    timings: dict[tuple[Timing, str], Distribution] = field(default_factory=dict)
    stale_fence_total: int = 0
    leases_expired_total: int = 0


def read_counters(client: redis.Redis, namespace: str, service_types: Iterable[str]) -> Counted:
    """Everything counted, the durations of the named service types, in one round trip.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    wanted = [(timing, service) for service in service_types for timing in BOUNDS]
    with translate_redis_errors(), client.pipeline(transaction=False) as pipeline:
        pipeline.hgetall(f"{namespace}:metrics:attempts")
        pipeline.hgetall(f"{namespace}:metrics:totals")
        for timing, service in wanted:
            pipeline.hgetall(f"{namespace}:metrics:{timing}:{service}")
        attempts, totals, *hashes = pipeline.execute()
    return Counted(
        attempts={_split(name): int(count) for name, count in attempts.items()},
        timings={
            (timing, service): _distribution(timing, values)
            for (timing, service), values in zip(wanted, hashes, strict=True)
        },
        stale_fence_total=int(totals.get("stale_fence_total", 0)),
        leases_expired_total=int(totals.get("leases_expired_total", 0)),
    )


def _split(name: str) -> tuple[str, str]:
    service_type, _, outcome = name.rpartition("|")
    return service_type, outcome


def _distribution(timing: Timing, values: Mapping[str, str]) -> Distribution:
    """Bounds that another version counted by are kept: the sum of all must stay the count."""
    bounds = sorted({*_FIELDS[timing], *values} - {_SUM}, key=float)
    buckets, total = [], 0
    for bound in bounds:
        total += int(values.get(bound, 0))
        buckets.append((bound, total))
    return Distribution(buckets, float(values.get(_SUM, 0.0)))
