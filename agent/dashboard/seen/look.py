"""One look at both servers: each service, who works, who leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from agent.admission.gate import GateState, gate_state
from agent.admission.surroundings import calls_in_flight, living_workers
from agent.api.doors import Doors
from agent.dashboard.seen.census import Census, Counts
from agent.dashboard.seen.recent import MINUTES, Recent, recent_of
from agent.errors import BrokerUnavailable
from agent.models import Document
from agent.projections.broker_view import QueueView, read_queues
from agent.projections.minute_view import read_minutes
from agent.projections.presence import WorkerView, threads_by_service
from agent.services import WEBHOOK, ServiceType
from agent.settings import ServiceSettings
from agent.store.services import Pause

THROTTLED_SHARE = 0.05
"""Fewer calls that are answered 429 are no more than a hint."""

RETRY_AFTER = "retry-after"
"""Who made a pause that the service asked for."""

LATELY = timedelta(minutes=MINUTES + 1)


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service type. What only Redis knows is None while it is away."""

    name: str
    settings: ServiceSettings
    state: GateState
    pause: Pause | None
    counts: Mapping[str, int | None]
    oldest: datetime | None
    in_flight: int
    workers: int | None
    threads: int | None
    queue: QueueView | None
    recent: Recent | None

    @property
    def pending(self) -> int:
        return self.counts.get("pending") or 0

    @property
    def is_throttled(self) -> bool:
        """Whether the service itself asks for less: it said when to come back, or answers 429."""
        if self.state is GateState.PAUSED:
            return self.pause is not None and self.pause.by == RETRY_AFTER
        if self.recent is None or self.name == WEBHOOK.name:  # each receiver is another one
            return False
        return self.recent.throttled >= THROTTLED_SHARE

    @property
    def word(self) -> str:
        """Its state: `throttled`, else that of its gate."""
        return "throttled" if self.is_throttled else str(self.state)


@dataclass(frozen=True, slots=True)
class Look:
    """Everything, at one moment of the database's clock."""

    now: datetime
    services: list[ServiceView]
    leader: Document | None
    workers: list[WorkerView] | None
    others: Counts
    """Counts of what belongs to no service: parents, and what was not adopted yet."""


def look(doors: Doors, census: Census) -> Look:
    """Ask both servers.

    Raises:
        StoreUnavailable: MongoDB did not answer.
    """
    repository, registry = doors.repository, doors.settings.registry
    counts, oldest = census(), repository.oldest_pending()
    states, calls = repository.service_states(), calls_in_flight(repository)
    workers, queues = living_workers(doors.client, doors.settings), _queues(doors)
    threads = {} if workers is None else threads_by_service(workers)
    recent, now = _recent(doors), repository.now()

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
            recent=recent.get(service.name),
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


def _recent(doors: Doors) -> dict[str, Recent]:
    settings = doors.settings
    try:
        found = read_minutes(doors.client, settings.namespace, [*settings.registry], LATELY)
    except BrokerUnavailable:
        return {}
    return {name: recent_of(series) for name, series in found.items()}


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
