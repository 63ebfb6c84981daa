"""How much the living workers can take now."""

from __future__ import annotations

from typing import Any

import pytest

from agent.models import Status
from agent.projections.presence import WorkerView
from agent.services import ANALYSIS, BUILT_IN, GENERATIVE
from agent.store.claims import InFlight
from bridge.room import LEAST_AHEAD, ahead, capacities


def a_worker(worker_id: str = "w1", **overrides: Any) -> WorkerView:
    view: dict[str, Any] = {
        "worker_id": worker_id,
        "service_types": ("ANALYSIS",),
        "threads": 16,
        "busy": 0,
        "host": "h",
        "pid": 1,
        "version": "0",
        "draining": False,
        "started_at": "2025-03-01T12:00:00Z",
        **overrides,
    }
    return WorkerView(**view)


def processing(count: int, owner: str = "w1", service: str = "ANALYSIS") -> InFlight:
    return InFlight(service, Status.PROCESSING, owner, False, count)


def queued(count: int, service: str = "ANALYSIS", owner: str = "bridge:1") -> InFlight:
    return InFlight(service, Status.QUEUED, owner, False, count)


def room_of(
    in_flight: list[InFlight] = [],  # noqa: B006 - never changed
    workers: list[WorkerView] | None = None,
    held: tuple[int, int] = (0, 0),
) -> int | None:
    workers = [a_worker()] if workers is None else workers
    return capacities([ANALYSIS], in_flight, workers, {"analysis": held})["ANALYSIS"]


@pytest.mark.parametrize(("threads", "more"), [(1, 4), (8, 4), (10, 5), (64, 32), (250, 125)])
def test_a_little_waits_behind_busy_threads(threads: int, more: int) -> None:
    """So that none waits for work."""
    assert ahead(threads) == more
    assert LEAST_AHEAD == 4


def test_no_worker_is_not_the_same_as_no_room() -> None:
    """People can read which it is."""
    assert room_of(workers=[]) is None
    assert room_of(workers=[a_worker(service_types=("GENERATIVE",))]) is None
    assert room_of(workers=[a_worker(draining=True)]) is None
    assert room_of([processing(99)]) == 0


@pytest.mark.parametrize(
    ("in_flight", "held", "expected"),
    [
        ([], (0, 0), 24),
        ([processing(10)], (0, 10), 14),
        ([queued(6)], (6, 0), 18),
        ([processing(10), queued(6)], (6, 10), 8),
        ([processing(10), queued(6)], (0, 16), 8),
        ([processing(16), queued(8)], (8, 16), 0),
        ([processing(30), queued(30)], (30, 30), 0),
        ([InFlight("ANALYSIS", Status.PROCESSING, "w1", True, 4)], (0, 4), 20),
    ],
    ids=["idle", "running", "waiting", "both", "fetched", "full", "too full", "polls"],
)
def test_room_is_threads_and_a_little_less_what_they_hold(
    in_flight: list[InFlight], held: tuple[int, int], expected: int
) -> None:
    """What runs, and what waits in the broker or in their hands."""
    assert room_of(in_flight, held=held) == expected


def test_what_a_dead_process_holds_takes_no_room() -> None:
    """Its leases run out by themselves; the living go on."""
    assert room_of([processing(16, owner="dead")]) == 24


def test_what_the_broker_lost_takes_no_room() -> None:
    """MongoDB still shows it queued, but nobody will fetch it."""
    assert room_of([queued(20)], held=(0, 0)) == 24


def test_messages_that_are_long_done_take_no_room() -> None:
    """Another program's messages, or stale ones, are not in MongoDB's count."""
    assert room_of([queued(2)], held=(50, 0)) == 22


def test_processes_are_counted_together() -> None:
    """Two of them take twice as much."""
    workers = [a_worker("w1"), a_worker("w2", threads=4)]
    assert room_of([processing(1), processing(1, "w2")], workers, (0, 2)) == 20 + 10 - 2


def test_a_process_of_several_queues_is_shared_out() -> None:
    """Each queue gets its share of the threads, and none what another one's contexts take."""
    worker = a_worker(service_types=("GENERATIVE", "ANALYSIS", "COMMUNICATION"))
    held = {"generative": (0, 3), "analysis": (0, 0)}
    in_flight = [processing(3, service="GENERATIVE")]
    assert capacities(BUILT_IN, in_flight, [worker], held) == {
        "GENERATIVE": 6,
        "ANALYSIS": 9,
        "COMMUNICATION": 9,
    }


def test_services_without_a_worker_stand_beside_those_with_one() -> None:
    """One service's trouble is none of another's."""
    found = capacities([GENERATIVE, ANALYSIS], [], [a_worker()], {})
    assert found == {"GENERATIVE": None, "ANALYSIS": 24}
