"""How much the living workers can take now: their threads and a little ahead, less what they hold.

Pure. A hint from Redis, so it only ever slows down: what decides is claimed in MongoDB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.admission.admission import owned
from agent.models import Status
from agent.projections.presence import WorkerView, threads_by_service
from agent.services import ServiceType
from agent.store.claims import InFlight

LEAST_AHEAD = 4


def ahead(threads: int) -> int:
    """How many messages wait in the broker behind busy threads, so that none waits for work."""
    return max(LEAST_AHEAD, threads // 2)


def capacities(
    services: Iterable[ServiceType],
    in_flight: Sequence[InFlight],
    workers: Sequence[WorkerView],
    held: Mapping[str, tuple[int, int]],
) -> dict[str, int | None]:
    """How many contexts of each service type may be enqueued now; None: no worker is alive.

    What a dead process holds does not count: MongoDB still shows it in flight until its lease runs
    out, the broker does not.

    Args:
        held: of each queue, messages that wait and messages that living workers have fetched.
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
        capacity[service.name] = max(0, total + ahead(total) - running - waiting)
    return capacity
