"""`/metrics` as Prometheus reads it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from agent.projections.presence import Presence, WorkerView
from agent.projections.signals import Signals

Browse = Callable[..., Any]
Samples = dict[tuple[str, tuple[str, ...]], float]


def scrape(browser: Any) -> Samples:
    """The samples by name and label values, the service first."""
    reply = browser.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, _values(sample.labels)): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def _values(labels: dict[str, str]) -> tuple[str, ...]:
    return tuple(labels[name] for name in sorted(labels, key=lambda name: name != "service"))


def some_signals(client: redis.Redis) -> None:
    signals = Signals("agent")
    for outcome in ("completed", "completed", "retry", "stale"):
        signals.record(
            "ANALYSIS",
            outcome=outcome,
            failing=False,
            forbidden=False,
            context_key="ctx_1",
            seconds=0.3,
            pickup_seconds=0.004,
        )
    signals.count_expired(5)
    signals.flush(client)


def a_worker(worker_id: str, draining: bool = False) -> WorkerView:
    return WorkerView(
        worker_id, ("ANALYSIS", "GENERATIVE"), 9, 0, "h", 1, "0.1.0", draining, "2026-01-01"
    )


def test_contexts_are_counted_by_service_and_status(repository: Any, browse: Browse) -> None:
    """A status with no context is said to have none, so that no series vanishes."""
    repository.counts = {"ANALYSIS": {"pending": 7}, "BATCH": {"processing": 1}}
    samples = scrape(browse())
    assert samples["agent_contexts", ("ANALYSIS", "pending")] == 7
    assert samples["agent_contexts", ("ANALYSIS", "failed")] == 0
    assert samples["agent_contexts", ("GENERATIVE", "pending")] == 0
    assert samples["agent_contexts", ("BATCH", "processing")] == 1


def test_the_oldest_pending_context_has_its_age(repository: Any, browse: Browse) -> None:
    """In seconds since it may run, and 0 where nothing waits."""
    repository.oldest = {"ANALYSIS": datetime.now(UTC) - timedelta(seconds=90)}
    samples = scrape(browse())
    assert samples["agent_oldest_pending_seconds", ("ANALYSIS",)] == pytest.approx(90, abs=5)
    assert samples["agent_oldest_pending_seconds", ("GENERATIVE",)] == 0


@pytest.mark.parametrize(("leader", "expected"), [(None, 0), ({"owner": "h:1"}, 1)])
def test_whether_a_bridge_leads_is_a_gauge(
    repository: Any, browse: Browse, leader: dict[str, str] | None, expected: int
) -> None:
    """1 or 0."""
    repository.leading = leader
    assert scrape(browse())["agent_bridge_leader", ()] == expected


def test_what_workers_counted_is_given_out(client: redis.Redis, browse: Browse) -> None:
    """Attempts, durations, stale writes and expired leases, by their contract names."""
    some_signals(client)
    samples = scrape(browse())
    assert samples["agent_attempts_total", ("ANALYSIS", "completed")] == 2
    assert samples["agent_attempts_total", ("ANALYSIS", "retry")] == 1
    assert samples["agent_attempt_seconds_count", ("ANALYSIS",)] == 3
    assert samples["agent_attempt_seconds_sum", ("ANALYSIS",)] == pytest.approx(0.9)
    assert samples["agent_attempt_seconds_bucket", ("ANALYSIS", "0.5")] == 3
    assert samples["agent_attempt_seconds_bucket", ("ANALYSIS", "0.25")] == 0
    assert samples["agent_pickup_seconds_bucket", ("ANALYSIS", "0.005")] == 3
    assert samples["agent_pickup_seconds_count", ("GENERATIVE",)] == 0
    assert samples["agent_stale_fence_total", ()] == 1
    assert samples["agent_leases_expired_total", ()] == 5


def test_workers_and_threads_are_those_that_take_work(client: redis.Redis, browse: Browse) -> None:
    """A draining process is no help; a service without workers is said to have none."""
    presence = Presence(client, "agent")
    presence.beat(a_worker("w1"))
    presence.beat(a_worker("w2", draining=True))
    samples = scrape(browse())
    assert samples["agent_workers", ("ANALYSIS",)] == 1
    assert samples["agent_threads", ("ANALYSIS",)] == 4
    assert samples["agent_workers", ("COMMUNICATION",)] == 0
    assert samples["agent_threads", ("COMMUNICATION",)] == 0


def test_without_mongodb_the_figures_of_redis_are_given(
    repository: Any, client: redis.Redis, browse: Browse
) -> None:
    """And which one is away."""
    some_signals(client)
    repository.away = True
    samples = scrape(browse())
    assert samples["agent_up", ("mongodb",)] == 0
    assert samples["agent_up", ("redis",)] == 1
    assert samples["agent_attempts_total", ("ANALYSIS", "completed")] == 2
    assert not [name for name, _ in samples if name in ("agent_contexts", "agent_bridge_leader")]


def test_without_redis_the_figures_of_mongodb_are_given(
    repository: Any, away: redis.Redis, browse: Browse
) -> None:
    """And which one is away."""
    repository.counts = {"ANALYSIS": {"pending": 7}}
    samples = scrape(browse(away))
    assert samples["agent_up", ("redis",)] == 0
    assert samples["agent_up", ("mongodb",)] == 1
    assert samples["agent_contexts", ("ANALYSIS", "pending")] == 7
    assert not [name for name, _ in samples if name.startswith("agent_attempt")]


def test_scrapes_do_not_load_mongodb(repository: Any, browse: Browse) -> None:
    """Twenty at once ask it as often as one."""
    browser = browse()
    for _ in range(20):
        browser.get("/metrics")
    assert repository.asked == 3
