"""One look at both servers: each service, who works, who leads; and what is wrong, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from agent.admission.gate import GateState, gate_state
from agent.admission.surroundings import calls_in_flight, living_workers
from agent.api.doors import Doors
from agent.dashboard.words import number
from agent.errors import BrokerUnavailable
from agent.models import Document
from agent.projections.broker_view import QueueView, read_queues
from agent.projections.presence import WorkerView, threads_by_service
from agent.services import ServiceType
from agent.settings import ServiceSettings
from agent.store.services import Pause
from agent.words import span

OLD = timedelta(minutes=10)
"""What has been due for longer than this is worth a word."""


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service type. What only Redis knows is None while it is away."""

    name: str
    settings: ServiceSettings
    state: GateState
    pause: Pause | None
    counts: dict[str, int]
    oldest: datetime | None
    in_flight: int
    workers: int | None
    threads: int | None
    queue: QueueView | None

    @property
    def pending(self) -> int:
        return self.counts.get("pending", 0)


@dataclass(frozen=True, slots=True)
class Look:
    """Everything, at one moment of the database's clock."""

    now: datetime
    services: list[ServiceView]
    leader: Document | None
    workers: list[WorkerView] | None
    others: dict[str, dict[str, int]]
    """Counts of what belongs to no service: parents, and what was not adopted yet."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong, and the page that shows more."""

    says: str
    page: str = ""


def look(doors: Doors) -> Look:
    """Ask both servers.

    Raises:
        StoreUnavailable: MongoDB did not answer.
    """
    repository, registry = doors.repository, doors.settings.registry
    counts, oldest = repository.count_by_status(), repository.oldest_pending()
    states, calls = repository.service_states(), calls_in_flight(repository)
    workers, queues = living_workers(doors.client, doors.settings), _queues(doors)
    threads = {} if workers is None else threads_by_service(workers)
    now = repository.now()

    def view(service: ServiceType) -> ServiceView:
        state = states.get(service.name)
        pause = state.pause if state is not None else None
        return ServiceView(
            name=service.name,
            settings=doors.settings.service(service),
            state=gate_state(pause, now),
            pause=pause,
            counts=counts.get(service.name, {}),
            oldest=oldest.get(service.name),
            in_flight=calls[service.name],
            workers=None if workers is None else _serving(workers, service.name),
            threads=None if workers is None else threads.get(service.name, 0),
            queue=queues.get(service.queue),
        )

    views = [view(service) for service in registry.values()]
    others = {name: each for name, each in counts.items() if name not in registry}
    return Look(now, views, repository.leader(), workers, others)


def _serving(workers: list[WorkerView], name: str) -> int:
    return sum(name in each.service_types and not each.draining for each in workers)


def _queues(doors: Doors) -> dict[str, QueueView]:
    names = [service.queue for service in doors.settings.registry.values()]
    try:
        return read_queues(doors.client, doors.settings.dramatiq_namespace, names)
    except BrokerUnavailable:
        return {}


def troubles(seen: Look) -> Iterator[Trouble]:
    """What is wrong, the weightiest first. Pure."""
    if seen.workers is None:
        yield Trouble("Redis does not answer: nothing new starts, and which workers live is not "
                      "known.", "bridge")  # fmt: skip
    if seen.leader is None:
        yield Trouble("No bridge leads, so nothing starts except by workers that run alone.",
                      "bridge")  # fmt: skip
    for each in seen.services:
        yield from _of_service(each, seen.now)


def _of_service(service: ServiceView, now: datetime) -> Iterator[Trouble]:
    waiting = f"{number(service.pending)} context{'s' if service.pending != 1 else ''} wait"
    waiting += "s" if service.pending == 1 else ""
    if service.pause is not None and service.state is GateState.PAUSED:
        since = span(now - service.pause.since)
        yield Trouble(f"{service.name} has been paused by {service.pause.by} for {since}; "
                      f"{waiting}.", "services")  # fmt: skip
    elif service.pause is not None:
        yield Trouble(f"{service.name} was paused by {service.pause.by}; one call finds out "
                      f"whether it is well again; {waiting}.", "services")  # fmt: skip
    elif service.workers == 0 and service.pending:
        yield Trouble(f"No worker is alive for {service.name}; {waiting}.", "workers")
    elif service.oldest is not None and now - service.oldest > OLD:
        yield Trouble(f"The oldest context of {service.name} has been due for "
                      f"{span(now - service.oldest)}; {waiting}.", "services")  # fmt: skip


def url_shown(settings: ServiceSettings) -> str:
    """Where a service is, without what could be a secret."""
    if settings.url is None:
        return "not set"
    parts = urlsplit(settings.url)
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.scheme}://{parts.hostname}{port}" + ("/…" if parts.path else "")


def silent(workers: list[WorkerView], living: list[WorkerView]) -> list[WorkerView]:
    """Those that gave signs of life lately, and do no more."""
    alive = {each.worker_id for each in living}
    return [each for each in workers if each.worker_id not in alive]
