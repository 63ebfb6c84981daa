"""A worker that runs alone: polls, claims and carries out by itself, with no broker.

Through the same gate and with the same writes as the bridge and the actors, so that both may run
on one database. The duties that keep the store true are done here, too.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from agent.admission.admission import Admission
from agent.duties.roster import Roster
from agent.errors import AgentError, ConfigurationError
from agent.logs import get_logger
from agent.models import Claim
from agent.projections.signals import LocalSignals
from agent.services import ServiceType
from agent.store.claims import InFlight
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers.carrier import Carrier

if TYPE_CHECKING:
    from agent.workers.worker_base import ClientWorker

GRACE = timedelta(seconds=20)
"""For calls to end once it is told to stop, as for the actors."""

END_SECONDS = 5.0
"""For threads to end that have nothing to do any more."""

log = get_logger()


@dataclass(slots=True)
class Slots:
    """The threads of a worker, and how many of them are taken."""

    total: int
    taken: int = 0

    @property
    def free(self) -> int:
        return self.total - self.taken


class Alone:
    """The loop of one worker, in a thread of its own, beside the threads of its calls."""

    def __init__(self, worker: ClientWorker, repository: MongoContextRepository) -> None:
        settings = worker.settings or repository.settings
        own = worker.service_settings
        service = worker.service
        self._worker = worker
        self._repository = repository
        self._poll_seconds = own.poll_interval or settings.poll_interval
        self._id = f"alone:{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._roster = Roster.of(repository)
        self._carrier = Carrier(
            settings,
            self._id,
            repository=repository,
            workers={service.name: worker},
            on_step_end=self._roster.settle_soon,
        )
        assert isinstance(self._carrier.signals, LocalSignals)
        self._admission = Admission(
            repository, [service], settings, self._carrier.signals, self._id, batch=own.batch_size
        )
        self._slots = Slots(settings.threads)
        self._pool = ThreadPoolExecutor(settings.threads, f"{service.queue}-call")
        self._changed = threading.Condition()
        self._stopping = False
        self._away = False
        self._thread = threading.Thread(target=self._live, name=service.queue, daemon=True)

    def start(self) -> None:
        """Begin; returns at once, whether MongoDB answers or not.

        Raises:
            ConfigurationError: the service has no URL, or a setting is wrong.
        """
        self._worker.check()
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more, let calls end within the grace, settle the rest."""
        with self._changed:
            if self._stopping:
                return
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _live(self) -> None:
        service = self._worker.service.name
        there = self._repository.wait_until_there(lambda: not self._stopping)
        if there:
            self._carrier.open()
            self._create_indexes()
            log.info("worker.started", service_type=service, worker=self._id)
            while not self._stopping:
                began = time.monotonic()
                more = self._round()
                if not more:
                    self._wait(began + self._poll_seconds)
            self._carrier.drain(GRACE)
            self._wait_for_threads()
        # a call that hangs beyond the grace has been settled; its thread is not waited for
        self._pool.shutdown(wait=False, cancel_futures=True)
        if there:
            self._carrier.close()
        log.info("worker.stopped", service_type=service, worker=self._id)

    def _create_indexes(self) -> None:
        try:
            self._roster.prepare()
        except AgentError as exc:  # slow without them, not wrong
            log.warning("indexes.missing", error=str(exc))

    def _round(self) -> bool:
        """Do what is due, and claim what there is room for; whether there may be more."""
        try:
            self._roster.run_due()
            more = False
            for admitted in self._admission.admit(self._capacity):
                self._hand_out(admitted.service, admitted.claims)
                more = more or admitted.more_pending
        except AgentError as exc:
            if not self._away:  # once an outage, not once a round
                log.warning("round.failed", error=str(exc), error_type=type(exc).__name__)
            self._away = True
            return False
        except Exception:
            log.exception("round.broken")
            return False
        self._away = False
        return more and self._slots.free > 0

    def _capacity(self, _in_flight: Sequence[InFlight]) -> dict[str, int | None]:
        return {self._worker.service.name: self._slots.free}

    def _hand_out(self, service: ServiceType, claims: Sequence[Claim]) -> None:
        with self._changed:
            self._slots.taken += len(claims)
        for claim in claims:
            self._pool.submit(self._run, service.name, claim)

    def _run(self, service_type: str, claim: Claim) -> None:
        try:
            self._carrier.run(service_type, *claim)
        finally:
            with self._changed:
                self._slots.taken -= 1
                self._changed.notify_all()

    def _wait_for_threads(self) -> None:
        """Until all but those that hang have ended: one that had not begun gives its claim back."""
        hanging = len(self._carrier.running)
        with self._changed:
            self._changed.wait_for(lambda: self._slots.taken <= hanging, END_SECONDS)

    def _wait(self, until: float) -> None:
        """Until the next poll; sooner when calls have ended and others may be waiting."""
        with self._changed:
            busy = self._slots.taken
            self._changed.wait_for(
                lambda: self._stopping or self._slots.taken < busy,
                timeout=max(0.0, until - time.monotonic()),
            )


def alone(worker: ClientWorker) -> Alone:
    """The loop of a worker.

    Raises:
        ConfigurationError: it was given no repository.
    """
    repository = worker.repository
    if not isinstance(repository, MongoContextRepository):
        name = type(worker).__name__
        raise ConfigurationError(
            f"{name} has no repository to work on: {name}(MongoContextRepository.connect(settings))"
        )
    return Alone(worker, repository)
