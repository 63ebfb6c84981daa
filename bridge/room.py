"""How much the living workers can take now: their threads and a little ahead, less what they hold.

A hint from Redis, so it only ever slows down: what decides is claimed in MongoDB.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from agent.admission.admission import owned
from agent.models import Status
from agent.projections.presence import WorkerView, threads_by_service
from agent.services import ServiceType
from agent.store.claims import InFlight

LEAST_AHEAD = 4
AHEAD_SECONDS = 0.4
"""How much may wait in the broker behind busy threads: what they get through in this time.

So no thread waits for work while the bridge makes its round, one claim takes many, and with calls
of seconds next to nothing waits where priority no longer counts.
"""
PACE_SECONDS = 0.5


class Pace:
    """How many contexts a second were enqueued lately, as a mean that fades in half a second."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._rate = 0.0
        self._at = monotonic()

    @property
    def rate(self) -> float:
        """Contexts a second."""
        return self._rate * math.exp((self._at - self._monotonic()) / PACE_SECONDS)

    def note(self, count: int) -> None:
        """So many more were enqueued."""
        self._rate, self._at = self.rate + count / PACE_SECONDS, self._monotonic()


def ahead(threads: int, rate: float) -> int:
    """How many messages wait in the broker behind busy threads, at this pace."""
    return min(max(LEAST_AHEAD, math.ceil(rate * AHEAD_SECONDS)), max(LEAST_AHEAD, 4 * threads))


def capacities(
    services: Iterable[ServiceType],
    in_flight: Sequence[InFlight],
    workers: Sequence[WorkerView],
    held: Mapping[str, tuple[int, int]],
    rates: Mapping[str, float],
) -> dict[str, int | None]:
    """How many contexts of each service type may be enqueued now; None: no worker is alive.

    What a dead process holds does not count: MongoDB still shows it in flight until its lease runs
    out, the broker does not.

    Args:
        held: of each queue, messages that wait and messages that living workers have fetched.
        rates: contexts of each service type that were enqueued a second.
    """
    threads = threads_by_service(workers)
    living = {worker.worker_id for worker in workers}
    capacity: dict[str, int | None] = {}
    for service in services:
        if not threads.get(service.name):
            capacity[service.name] = None
            continue
        processing = owned(in_flight, service.name, Status.PROCESSING)
        running = sum(count for owner, count in processing.items() if owner in living)
        queued = sum(owned(in_flight, service.name, Status.QUEUED).values())
        ready, fetched = held.get(service.queue, (0, 0))
        waiting = min(queued, ready + max(0, fetched - running))
        total = threads[service.name]
        behind = ahead(total, rates.get(service.name, 0.0))
        free = total + behind - running - waiting
        # half of it at a time, so that a claim takes many
        capacity[service.name] = free if free >= behind / 2 else 0
    return capacity
