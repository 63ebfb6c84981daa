"""Rescue: takes back contexts whose lease ran out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from agent.errors import NotStorable, StoreUnavailable
from agent.logs import get_logger
from agent.models import (
    MAX_CRASHES,
    AttemptRecord,
    Document,
    ErrorRecord,
    Status,
    context_key,
)
from agent.services import OnAmbiguous
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.soundness import is_fence
from agent.store.upkeep import BATCH

PART_COMPANY = timedelta(seconds=10)
"""The neighbours of a crash come back spread over this time, so that one that crashes every time
does not meet the same ones again."""
LEASELESS_SECONDS = 60.0
"""How often contexts in flight without any lease are looked for: no program of ours makes them."""

SPOILT = ErrorRecord(
    type="ContextUnreadable",
    message="its worker vanished, and there is no place for a record of its attempt",
    retryable=False,
)

log = get_logger()


class Rescue:
    """Looks for leases that ran out.

    After any doubt about MongoDB it first waits one full lease: a worker that lived through an
    outage renews before its context is taken.

    Args:
        policies: what each service does with a call whose outcome is unknown.
        on_expired: told how many leases a round found run out.
    """

    def __init__(
        self,
        repository: MongoContextRepository,
        policies: Mapping[str, OnAmbiguous],
        *,
        on_expired: Callable[[int], None] = lambda _count: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._policies = policies
        self._on_expired = on_expired
        self._monotonic = monotonic
        self._not_before = float("-inf")
        self._leaseless_at = float("-inf")
        self._primary_changes = repository.clock.primary_changes
        self.hold_off()

    @classmethod
    def of(
        cls,
        repository: MongoContextRepository,
        *,
        on_expired: Callable[[int], None] = lambda _count: None,
    ) -> Rescue:
        """Rescue by what the settings say of each service.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        settings = repository.settings
        policies = {
            name: settings.service(service).on_ambiguous or service.on_ambiguous
            for name, service in settings.registry.items()
        }
        return cls(repository, policies, on_expired=on_expired)

    def hold_off(self) -> None:
        """Take nothing before one full lease has passed."""
        self._not_before = self._monotonic() + self._repository.settings.lease.total_seconds()

    def run(self) -> int:
        """One round; how many contexts were taken back.

        Raises:
            StoreUnavailable: MongoDB did not answer; the next rounds hold off.
        """
        changes = self._repository.clock.primary_changes
        if changes != self._primary_changes:
            self._primary_changes = changes
            self.hold_off()
        if self._monotonic() < self._not_before:
            return 0
        try:
            return self._run()
        except StoreUnavailable:
            self.hold_off()
            raise

    def _run(self) -> int:
        taken = 0
        while True:
            asked_at = self._monotonic()
            found = [*self._repository.expired_leases(), *self._leaseless()]
            if self._monotonic() - asked_at > self._repository.settings.heartbeat.total_seconds():
                self.hold_off()  # it was away for a while, for the workers too
                break
            taken_now = sum(self._take(document) for document in found)
            taken += taken_now
            if len(found) < BATCH or not taken_now:
                break
        if taken:
            self._on_expired(taken)
        return taken

    def _leaseless(self) -> list[Document]:
        now = self._monotonic()
        if now - self._leaseless_at < LEASELESS_SECONDS:
            return []
        self._leaseless_at = now
        return self._repository.without_lease()

    def _take(self, document: Document) -> bool:
        try:
            if is_queued(document):
                taken = self._repository.rescue_queued(document)
            else:
                taken = self._take_processing(document)
        except NotStorable as exc:  # so full that not even its end fits: it must not stop the rest
            key = context_key(document["_id"])
            log.error("context.beyond_help", context_id=key, error=str(exc))
            return False
        if taken:
            log.warning(
                "context.rescued",
                context_id=context_key(document["_id"]),
                service_type=document.get("service_type"),
                fence=document.get("fence"),
                attempt=document.get("attempt"),
                was=document["status"],
                owner=_owner(document),
            )
        return taken

    def _take_processing(self, document: Document) -> bool:
        error = self._reason_to_give_up(document)
        attempt = _lost(document, self._repository)
        try:
            if error is not None:
                return self._repository.rescue_fail(document, error=error, attempt=attempt)
            delay = PART_COMPANY * random.random()
            return self._repository.rescue_processing(document, delay=delay, attempt=attempt)
        except NotStorable:  # what is counted is no number, or there is no place for the attempt
            return self._repository.rescue_fail(document, error=error or SPOILT, attempt=None)

    def _reason_to_give_up(self, document: Document) -> ErrorRecord | None:
        polls = bool(document.get("remote"))
        policy = self._policies.get(str(document.get("service_type")), "retry")
        if policy == "park" and not polls:
            return ErrorRecord(
                type="OutcomeUnknown",
                message="the work may have been done: its worker vanished amid the call",
                retryable=False,
            )
        crashes = document.get("crashes")
        if isinstance(crashes, int) and crashes + 1 >= MAX_CRASHES:
            return ErrorRecord(
                type="PoisonContext",
                message=f"it was started {MAX_CRASHES} times in a row and never finished",
                retryable=False,
            )
        return None


def is_queued(document: Document) -> bool:
    """Whether it was only queued; its status may stand in a list, which the server looks into."""
    status = document["status"]
    return status == Status.QUEUED or (isinstance(status, list) and Status.QUEUED in status)


def _owner(document: Document) -> str | None:
    lease = document.get("lease")
    owner = lease.get("owner") if isinstance(lease, dict) else None
    return owner if isinstance(owner, str) else None


def _lost(document: Document, repository: MongoContextRepository) -> AttemptRecord:
    number, fence = document.get("attempt"), document.get("fence")
    started_at = document.get("started_at")
    return AttemptRecord(
        number=number if isinstance(number, int) else 0,
        fence=fence if is_fence(fence) else None,
        started_at=started_at if isinstance(started_at, datetime) else None,
        finished_at=repository.now(),
        worker=_owner(document),
        outcome="lost",
        error=ErrorRecord(
            type="WorkerLost", message="its worker gave no sign of life any more", retryable=True
        ),
        definite=False,
    )
