"""Admission: asks what is in flight, lets the gate decide, and claims.

Used by the bridge, whose workers are elsewhere, and by a worker that runs alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.admission import gate
from agent.admission.gate import GateState, Limits, Load, Room, Verdict
from agent.logs import get_logger
from agent.models import Claim, Status, context_key
from agent.projections.signals import SignalView
from agent.services import ServiceType
from agent.settings import Settings
from agent.store.claims import InFlight
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.services import Pause, ServiceState

BY_AGE_EVERY = 20
"""One claim in so many goes by age alone, so that the last priority is slow, not starved."""
REMOTE_SECONDS = 5.0
"""How old the count of accepted work may be."""
BREAKER_SECONDS = 0.5
"""How often the breaker looks at what workers saw."""

Capacity = Callable[[Sequence[InFlight]], Mapping[str, int | None]]
"""How many contexts the workers of each service type can take now; None: none is alive."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """A service type, and what its settings mean for admission."""

    type: ServiceType
    limits: Limits
    queue_lease: timedelta

    @classmethod
    def of(cls, service: ServiceType, settings: Settings, batch: int | None = None) -> Service:
        """What the environment says of a service type.

        Raises:
            ConfigurationError: a variable is wrong.
        """
        found = settings.service(service)
        batch = batch or found.batch_size or settings.batch_size
        return cls(service, Limits(found.max_in_flight, found.max_remote, batch), found.queue_lease)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What one round claimed for a service type, and how much it could have taken."""

    service: ServiceType
    claims: list[Claim]
    room: Room
    batch: int

    @property
    def more_pending(self) -> bool:
        """Whether more are likely to be pending: there were as many as there was room for."""
        return len(self.claims) >= min(self.room.calls, self.room.polls)

    @property
    def more_room(self) -> bool:
        """Whether there may be more room: a claim takes one batch at most."""
        return len(self.claims) >= self.batch


class Admission:
    """Claims for some service types. One at a time uses it.

    Args:
        owner: who the claims belong to.
        signals: what workers saw of the services.
        batch: how many one claim takes at most, in place of the settings.
    """

    def __init__(
        self,
        repository: MongoContextRepository,
        services: Sequence[ServiceType],
        settings: Settings,
        signals: SignalView,
        owner: str,
        *,
        batch: int | None = None,
    ) -> None:
        self._repository = repository
        self._services = [Service.of(service, settings, batch) for service in services]
        self._signals = signals
        self._owner = owner
        self._claims = dict.fromkeys((service.name for service in services), 0)
        self._remote: dict[str, int] = {}
        self._remote_at = self._breaker_at = float("-inf")
        self.rooms: dict[str, Room] = {}
        """What the last round found for each service."""

    def admit(self, capacity: Capacity) -> Iterator[Admitted]:
        """One round: claims, service by service, as soon as each is made.

        Raises:
            StoreUnavailable, BrokerUnavailable: what was claimed comes back by its lease.
        """
        in_flight = self._repository.in_flight()
        states = self._repository.service_states()
        free = capacity(in_flight)
        self._trip_breakers(states)
        for service in self._services:
            name = service.type.name
            load = self._load(name, in_flight, free.get(name))
            claims, room = self._admit_one(service, states.get(name, ServiceState()), load)
            self.rooms[name] = room
            if claims:
                yield Admitted(service.type, claims, room, service.limits.batch)

    def _admit_one(
        self, service: Service, state: ServiceState, load: Load
    ) -> tuple[list[Claim], Room]:
        pause, now = state.pause, self._repository.now()
        probing = False
        if pause is not None and gate.gate_state(pause, now) is GateState.PROBING:
            verdict = self._judge(pause, now)
            probing = verdict is Verdict.RUNNING
            pause = None if verdict is Verdict.GOOD else pause
            if verdict is Verdict.BAD:
                return [], Room(0, 0, gate.Bound.PAUSED)
        stage = gate.gate_state(pause, now)
        room = gate.room(stage, service.limits, load, probing=probing)
        if not room.calls and not room.polls:
            return [], room
        claims = self._claim(service, room, load, pause if stage is GateState.PROBING else None)
        if stage is GateState.PROBING and pause is not None and claims:
            self._repository.note_probe(pause, claims[0])
            log.info("gate.probing", service_type=service.type.name,
                     context_id=context_key(claims[0].context_id))  # fmt: skip
        return claims, room

    def _claim(
        self, service: Service, room: Room, load: Load, probe_of: Pause | None
    ) -> list[Claim]:
        name = service.type.name
        self._claims[name] += 1
        most = load.capacity if probe_of is None else 1
        return self._repository.claim(
            name,
            calls=room.calls,
            polls=room.polls,
            most=most,
            lease=service.queue_lease,
            owner=self._owner,
            by_age=self._claims[name] % BY_AGE_EVERY == 0,
            avoid=None if probe_of is None else probe_of.context_id,
            has_accepted=load.remote > 0,
        )

    def _load(self, name: str, in_flight: Sequence[InFlight], capacity: int | None) -> Load:
        mine = [row for row in in_flight if row.service_type == name]
        return Load(
            in_flight=sum(row.count for row in mine if not row.polls),
            polls=sum(row.count for row in mine if row.polls),
            remote=self._remote_counts().get(name, 0),
            capacity=capacity,
        )

    def _remote_counts(self) -> dict[str, int]:
        now = time.monotonic()
        if now - self._remote_at > REMOTE_SECONDS:
            self._remote, self._remote_at = self._repository.count_remote(), now
        return self._remote

    def _judge(self, pause: Pause, now: datetime) -> Verdict:
        """What the probe of a pause that is over told, and what follows from it."""
        if pause.probe is None:
            return Verdict.NOTHING
        waited = now - (pause.probed_at or now)
        found = self._repository.probe_fate(pause.probe)
        verdict = gate.read_probe(found, pause.probe.fence, waited=waited)
        name = pause.service_type
        if verdict is Verdict.GOOD and self._repository.end_pause(pause):
            log.info("gate.open", service_type=name, was=pause.by)
        elif verdict is Verdict.BAD:
            self._trip(name, pause.trips + 1, "the probe failed", pause.probe.context_id)
        elif verdict is Verdict.NOTHING:
            self._repository.note_probe(pause, None)
        return verdict

    def _trip_breakers(self, states: Mapping[str, ServiceState]) -> None:
        now = time.monotonic()
        if now - self._breaker_at < BREAKER_SECONDS:
            return
        self._breaker_at = now
        for service in self._services:
            name = service.type.name
            state = states.get(name, ServiceState())
            seconds = gate.window_seconds(state.cleared_at, self._repository.now())
            if state.pause is not None or not seconds:
                continue
            window = self._signals.window([name], seconds)[name]
            if gate.should_trip(window):
                reason = f"{window.failing} of {window.calls} calls failed lately"
                self._trip(name, 1, reason, None)

    def _trip(self, name: str, trips: int, reason: str, context_id: Any) -> None:
        until = self._repository.now() + gate.breaker_pause(trips)
        self._repository.pause_service(
            name, by="breaker", reason=reason, until=until, context_id=context_id, trips=trips
        )
        log.warning("gate.tripped", service_type=name, reason=reason, until=until.isoformat())


def owned(rows: Sequence[InFlight], service_type: str, status: Status) -> dict[str | None, int]:
    """How many contexts of a service each owner has in this status."""
    counts: dict[str | None, int] = {}
    for row in rows:
        if row.service_type == service_type and row.status is status:
            counts[row.owner] = counts.get(row.owner, 0) + row.count
    return counts
