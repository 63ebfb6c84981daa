"""Admit: asks who is alive, has the admission claim, and enqueues."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import redis

from agent.admission.admission import Admission, owned
from agent.errors import BrokerUnavailable
from agent.logs import get_logger
from agent.models import Claim, Status
from agent.projections.broker_view import drop_messages, read_held
from agent.projections.presence import Presence, WorkerView
from agent.services import ServiceType
from agent.settings import Settings
from agent.store.claims import InFlight
from bridge.enqueue import enqueue
from bridge.room import AHEAD_SECONDS, Pace, capacities

PRESENCE_SECONDS = 0.5
"""How old the list of living workers may be."""
CHASE_SECONDS = AHEAD_SECONDS / 5
"""When to look again while more is pending than there was room for: before half of what waits in
the broker is gone."""
BLIND_SECONDS = 60.0
"""While no worker of a service shows itself, one context in so long is enqueued all the same: the
view may be wrong."""

log = get_logger()


class Admit:
    """Fills the broker with what may run soon, and no more."""

    def __init__(
        self,
        admission: Admission,
        services: Sequence[ServiceType],
        client: redis.Redis,
        settings: Settings,
    ) -> None:
        self._admission = admission
        self._services = services
        self._client = client
        self._settings = settings
        self._presence = Presence(client, settings.namespace)
        self._workers: list[WorkerView] = []
        self._workers_at = float("-inf")
        self.in_doubt = False
        """Whether something was claimed that the broker may not have."""
        self._paces = {service.name: Pace() for service in services}
        self._blind_at = dict.fromkeys((service.name for service in services), float("-inf"))

    def run(self) -> float | None:
        """One round; in how many seconds there may be more to claim, None if nothing points to it.

        Raises:
            StoreUnavailable, BrokerUnavailable: nothing is undone; leases run out.
        """
        again: float | None = None
        for admitted in self._admission.admit(self._capacities):
            self.enqueue(admitted.service, admitted.claims)
            self._paces[admitted.service.name].note(len(admitted.claims))
            if admitted.more_room:
                again = 0.0
            elif admitted.more_pending:
                again = CHASE_SECONDS if again is None else again
        return again

    def enqueue(self, service: ServiceType, claims: Sequence[Claim]) -> None:
        """Put claims into the queue of their service.

        Raises:
            BrokerUnavailable: what was enqueued is not known.
        """
        settings = self._settings
        try:
            enqueue(self._client, settings.dramatiq_namespace, settings.namespace,
                    service.queue, claims)  # fmt: skip
        except BrokerUnavailable:
            self.in_doubt = True
            log.warning("enqueue.unknown", service_type=service.name, count=len(claims))
            raise

    def _capacities(self, in_flight: Sequence[InFlight]) -> Mapping[str, int | None]:
        now = time.monotonic()
        if now - self._workers_at > PRESENCE_SECONDS:
            self._workers, self._workers_at = self._presence.live(), now
        held = read_held(
            self._client,
            self._settings.dramatiq_namespace,
            [service.queue for service in self._services],
            [worker.broker_id for worker in self._workers if worker.broker_id],
        )
        rates = {name: pace.rate for name, pace in self._paces.items()}
        found = capacities(self._services, in_flight, self._workers, held, rates)
        for service in self._services:
            if found[service.name] is None and held[service.queue][0]:
                self._drop_stale(service, in_flight)
        return {name: self._blindly(name, room, now) for name, room in found.items()}

    def _drop_stale(self, service: ServiceType, in_flight: Sequence[InFlight]) -> None:
        """Messages whose claims have all run out: else they would gather, without a worker that
        takes and drops them. None is new, since only the leader enqueues; should another one
        lead by now, what it enqueued comes back by its lease."""
        if owned(in_flight, service.name, Status.QUEUED):
            return
        drop_messages(self._client, self._settings.dramatiq_namespace, service.queue)
        log.info("broker.stale_dropped", service_type=service.name)

    def _blindly(self, name: str, room: int | None, now: float) -> int | None:
        if room is not None or now - self._blind_at[name] < BLIND_SECONDS:
            return room
        self._blind_at[name] = now
        return 1
