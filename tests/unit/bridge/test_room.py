"""How much the living workers can take now."""

from __future__ import annotations

from typing import Any

import pytest

from agent.models import Status
from agent.projections.presence import WorkerView
from agent.services import ANALYSIS, BUILT_IN, GENERATIVE
from agent.store.claims import InFlight
from bridge.room import LEAST_AHEAD, Pace, ahead, capacities


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
    return capacities([ANALYSIS], in_flight, workers, {"analysis": held}, {})["ANALYSIS"]


@pytest.mark.parametrize(
    ("threads", "rate", "more"),
    [(1, 0.0, 4), (64, 1.0, 4), (8, 20.0, 8), (64, 600.0, 240), (8, 600.0, 32), (1, 600.0, 4)],
)
def test_what_waits_behind_busy_threads_is_a_moments_work(
    threads: int, rate: float, more: int
) -> None:
    """So that none waits for work, and next to nothing waits behind slow calls."""
    assert ahead(threads, rate) == more
    assert LEAST_AHEAD == 4


def test_the_pace_is_what_was_enqueued_lately() -> None:
    """It fades in about half a second."""
    now = [10.0]
    pace = Pace(monotonic=lambda: now[0])
    assert pace.rate == 0.0
    pace.note(100)
    assert pace.rate == 200.0
    for _ in range(100):
        now[0] += 0.1
        pace.note(60)
    assert pace.rate == pytest.approx(600, rel=0.12)
    now[0] += 5
    assert pace.rate < 1


def test_a_claim_waits_until_it_takes_many() -> None:
    """While half of what may wait is still waiting, nothing is claimed."""
    workers = [a_worker()]

    def room(waiting: int) -> int | None:
        in_flight = [processing(16), queued(waiting)]
        held = {"analysis": (waiting, 16)}
        return capacities([ANALYSIS], in_flight, workers, held, {"ANALYSIS": 160.0})["ANALYSIS"]

    assert [room(40), room(33), room(32), room(0)] == [0, 0, 32, 64]


def test_no_worker_is_not_the_same_as_no_room() -> None:
    """People can read which it is."""
    assert room_of(workers=[]) is None
    assert room_of(workers=[a_worker(service_types=("GENERATIVE",))]) is None
    assert room_of(workers=[a_worker(draining=True)]) is None
    assert room_of([processing(99)]) == 0


@pytest.mark.parametrize(
    ("in_flight", "held", "expected"),
    [
        ([], (0, 0), 20),
        ([processing(10)], (0, 10), 10),
        ([queued(6)], (6, 0), 14),
        ([processing(10), queued(6)], (6, 10), 4),
        ([processing(10), queued(6)], (0, 16), 4),
        ([processing(16), queued(8)], (8, 16), 0),
        ([processing(30), queued(30)], (30, 30), 0),
        ([InFlight("ANALYSIS", Status.PROCESSING, "w1", True, 4)], (0, 4), 16),
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
    assert room_of([processing(16, owner="dead")]) == 20


def test_what_the_broker_lost_takes_no_room() -> None:
    """MongoDB still shows it queued, but nobody will fetch it."""
    assert room_of([queued(20)], held=(0, 0)) == 20


def test_messages_that_are_long_done_take_no_room() -> None:
    """Another program's messages, or stale ones, are not in MongoDB's count."""
    assert room_of([queued(2)], held=(50, 0)) == 18


def test_processes_are_counted_together() -> None:
    """Two of them take twice as much."""
    workers = [a_worker("w1"), a_worker("w2", threads=4)]
    assert room_of([processing(1), processing(1, "w2")], workers, (0, 2)) == 20 + 4 - 2


def test_a_process_of_several_queues_is_shared_out() -> None:
    """Each queue gets its share of the threads, and none what another one's contexts take."""
    worker = a_worker(service_types=("GENERATIVE", "ANALYSIS", "COMMUNICATION"))
    held = {"generative": (0, 3), "analysis": (0, 0)}
    in_flight = [processing(3, service="GENERATIVE")]
    assert capacities(BUILT_IN, in_flight, [worker], held, {}) == {
        "GENERATIVE": 6,
        "ANALYSIS": 9,
        "COMMUNICATION": 9,
    }


def test_services_without_a_worker_stand_beside_those_with_one() -> None:
    """One service's trouble is none of another's."""
    found = capacities([GENERATIVE, ANALYSIS], [], [a_worker()], {}, {})
    assert found == {"GENERATIVE": None, "ANALYSIS": 20}
