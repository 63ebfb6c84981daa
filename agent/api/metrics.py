"""`/metrics` for Prometheus: what workers counted in Redis, and what MongoDB holds now.

Either may be away: the other's figures are still given, and `agent_up` says which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import redis
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from agent.api.health import Cached
from agent.errors import AgentError
from agent.logs import get_logger
from agent.models import Status
from agent.projections.counters import Counted, Timing, read_counters
from agent.projections.presence import Presence, WorkerView, threads_by_service

log = get_logger()


class MetricsSource(Protocol):
    """What metrics ask of the repository; it raises an `AgentError` when MongoDB is away."""

    def count_by_status(self) -> Mapping[str, Mapping[str, int]]:
        """How many contexts each service type has in each status."""

    def oldest_pending(self) -> Mapping[str, datetime]:
        """Since when the oldest pending context of each service type may run."""

    def leader(self) -> Mapping[str, Any] | None:
        """The bridge that leads now, or None."""


@dataclass(frozen=True, slots=True)
class InStore:
    """What MongoDB told."""

    counts: Mapping[str, Mapping[str, int]]
    oldest: Mapping[str, datetime]
    leads: bool


@dataclass(frozen=True, slots=True)
class InRedis:
    """What Redis told."""

    counted: Counted
    workers: list[WorkerView]


class AgentCollector(Collector):
    """Builds the metric families from one look at each server, held for two seconds."""

    def __init__(
        self,
        repository: MetricsSource,
        client: redis.Redis,
        namespace: str,
        service_types: Iterable[str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._repository = repository
        self._client = client
        self._namespace = namespace
        self._services = tuple(service_types)
        self._presence = Presence(client, namespace)
        self._now = now
        self._store = Cached(self._ask_store)
        self._redis = Cached(self._ask_redis)

    def collect(self) -> Iterator[Metric]:
        """Every family that can be told now."""
        in_store, in_redis = self._store(), self._redis()
        up = GaugeMetricFamily("agent_up", "Whether it answers.", labels=["dependency"])
        up.add_metric(["mongodb"], in_store is not None)
        up.add_metric(["redis"], in_redis is not None)
        yield up
        if in_store is not None:
            yield from self._store_families(in_store)
        if in_redis is not None:
            yield from self._counted_families(in_redis.counted)
            yield from self._worker_families(in_redis.workers)

    def _ask_store(self) -> InStore | None:
        repository = self._repository
        try:
            return InStore(
                repository.count_by_status(),
                repository.oldest_pending(),
                repository.leader() is not None,
            )
        except AgentError as exc:
            log.warning("metrics.mongodb_away", error=str(exc))
            return None

    def _ask_redis(self) -> InRedis | None:
        try:
            return InRedis(
                read_counters(self._client, self._namespace, self._services),
                self._presence.live(),
            )
        except AgentError as exc:
            log.warning("metrics.redis_away", error=str(exc))
            return None

    def _store_families(self, found: InStore) -> Iterator[Metric]:
        contexts = GaugeMetricFamily(
            "agent_contexts", "Contexts in MongoDB.", labels=["service", "status"]
        )
        for service in dict.fromkeys([*self._services, *found.counts]):
            counts = found.counts.get(service, {})
            for status in dict.fromkeys([*map(str, Status), *counts]):
                contexts.add_metric([service, status], counts.get(status, 0))  # 0 is said, too
        yield contexts
        oldest = GaugeMetricFamily(
            "agent_oldest_pending_seconds",
            "How long the oldest pending context has been able to run.",
            labels=["service"],
        )
        now = self._now()
        for service in dict.fromkeys([*self._services, *found.oldest]):
            since = found.oldest.get(service, now)
            oldest.add_metric([service], max(0.0, (now - since).total_seconds()))
        yield oldest
        yield GaugeMetricFamily(
            "agent_bridge_leader", "Whether a bridge leads.", value=int(found.leads)
        )

    def _counted_families(self, counted: Counted) -> Iterator[Metric]:
        attempts = CounterMetricFamily(
            "agent_attempts", "Attempts by outcome.", labels=["service", "outcome"]
        )
        for (service, outcome), count in sorted(counted.attempts.items()):
            attempts.add_metric([service, outcome], count)
        yield attempts
        yield _histogram("attempt_seconds", "How long calls took.", counted)
        yield _histogram("pickup_seconds", "From when a context was due to its call.", counted)
        yield CounterMetricFamily(
            "agent_stale_fence",
            "Writes dropped because the context had moved on.",
            value=counted.stale_fence_total,
        )
        yield CounterMetricFamily(
            "agent_leases_expired",
            "Leases that ran out and were taken back.",
            value=counted.leases_expired_total,
        )

    def _worker_families(self, workers: list[WorkerView]) -> Iterator[Metric]:
        alive = GaugeMetricFamily(
            "agent_workers", "Living worker processes that take work.", labels=["service"]
        )
        threads = GaugeMetricFamily(
            "agent_threads",
            "Threads of these, shared out among their services.",
            labels=["service"],
        )
        shares = threads_by_service(workers)
        for service in dict.fromkeys([*self._services, *shares]):
            serving = [w for w in workers if service in w.service_types and not w.draining]
            alive.add_metric([service], len(serving))
            threads.add_metric([service], shares.get(service, 0))
        yield alive
        yield threads


def _histogram(timing: Timing, documentation: str, counted: Counted) -> Metric:
    family = HistogramMetricFamily(f"agent_{timing}", documentation, labels=["service"])
    for (name, service), distribution in counted.timings.items():
        if name == timing:
            family.add_metric([service], distribution.buckets, distribution.sum)
    return family


def metrics_router(collector: Collector) -> APIRouter:
    """The route `/metrics`."""
    router = APIRouter()

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(collector), media_type=CONTENT_TYPE_LATEST)

    return router
