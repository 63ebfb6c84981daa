"""Carries contexts out in one process: start, call, outcome, write back.

What Dramatiq's actors and workers that run alone have in common. Any thread may call `run`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import redis

from agent import outcomes
from agent.errors import BrokerUnavailable, Draining, NotStorable, StoreUnavailable
from agent.logs import get_logger
from agent.models import QUARANTINE_AFTER, Claim, Document, ErrorRecord, context_key
from agent.outcomes import Kind, Outcome
from agent.projections.connection import connect_redis
from agent.projections.signals import LocalSignals, SharedSignals, Signals, SignalView
from agent.services import import_worker
from agent.settings import Settings
from agent.store.group_writer import GroupWriter
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.runs import Fate
from agent.workers.call import Attempt
from agent.workers.quarantine import carry_out_alone
from agent.workers.running import Heartbeat, Run, Running
from agent.workers.settle import Ran, is_failing, is_forbidden, weigh, write_of
from agent.workers.worker_base import ClientWorker

FORBIDDEN_STREAK = 5
"""403s in a row from different contexts: then it is the key, not the context."""
FORBIDDEN_PAUSE = timedelta(seconds=60)
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
REASONS = {401: "unauthorized", 403: "forbidden"}

log = get_logger()


class Carrier:
    """The contexts of one process.

    Args:
        worker_id: the owner in leases, and in `processed_by`.
        repository: one that is connected already; else `open` connects one.
        workers: by service type; else they are made from the registry when first needed.
    """

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        *,
        repository: MongoContextRepository | None = None,
        workers: Mapping[str, ClientWorker] | None = None,
    ) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._given_repository = repository
        self._workers: dict[str, ClientWorker] = dict(workers or {})
        self._lock = threading.Lock()
        self._running = Running()
        self._draining = threading.Event()
        self._closed = threading.Event()
        self._redis: redis.Redis | None = None
        self._repository: MongoContextRepository
        self._writer: GroupWriter
        self._heartbeat: Heartbeat
        self.signals: Signals = (
            LocalSignals(settings.namespace) if workers else Signals(settings.namespace)
        )

    # The life of the process

    def check(self, service_types: Collection[str]) -> None:
        """Look whether these can be served, without asking any server.

        Raises:
            ConfigurationError: a service has no URL, or its worker cannot be made.
        """
        for service_type in service_types:
            self._worker(service_type).check()

    def open(self) -> None:
        """Connect, and wait for MongoDB with a message. Redis is waited for by whoever needs it."""
        repository = self._given_repository or MongoContextRepository.connect(self._settings)
        if not isinstance(self.signals, LocalSignals):
            self._redis = connect_redis(self._settings, max_connections=8, name="carrier")
        repository.wait_until_there(lambda: not self._draining.is_set())
        self._repository = repository
        self._writer = GroupWriter(repository)
        self._heartbeat = Heartbeat(repository, self._running)

    def flush(self) -> None:
        """Write what was counted.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        if self._redis is not None:
            self.signals.flush(self._redis)

    def drain(self, grace: timedelta) -> None:
        """Take nothing more, and return when nothing runs; settle what still does after `grace`."""
        self._draining.set()
        if self._running.wait_until_none(grace.total_seconds()):
            return
        for run in self._running.all():
            self._give_up(run)

    def close(self) -> None:
        """Let go of every connection."""
        self._closed.set()
        self._heartbeat.stop()
        self._writer.close()
        for worker in self._workers.values():
            worker.close()
        try:
            self.flush()
        except BrokerUnavailable as exc:
            log.warning("signals.lost", error=str(exc))
        if self._redis is not None:
            self._redis.close()
        if self._given_repository is None:
            self._repository.close()

    @property
    def running(self) -> Sequence[Mapping[str, Any]]:
        """What runs now: `context_id`, `service_type` and `since_seconds` of each."""
        return [
            {
                "context_id": run.claim.context_id,
                "service_type": run.service_type,
                "since_seconds": run.seconds,
            }
            for run in self._running.all()
        ]

    # One context

    def run(self, service_type: str, context_id: Any, fence: int, claim_id: str) -> None:
        """Carry out one context. Raises nothing: what goes wrong is left to its lease."""
        claim = Claim(context_id, fence, claim_id)
        try:
            if self._draining.is_set():
                self._repository.release_queued(claim)
                return
            self._run(service_type, claim)
        except Exception:
            log.exception(
                "context.left_to_its_lease",
                context_id=context_key(context_id),
                fence=fence,
                service_type=service_type,
            )

    def _run(self, service_type: str, claim: Claim) -> None:
        worker = self._worker(service_type)
        run = Run(
            claim,
            service_type,
            token=uuid4().hex,
            trace_id=uuid4().hex,
            longest=worker.service_settings.longest_run,
        )
        self._running.add(run)
        try:
            if not self._start(run, worker.service_settings.queue_lease):
                return
            pickup = self._waited(run)
            outcome = self._carry_out(worker, run)
            seconds = run.seconds
            self._settle(run, outcome, seconds, pickup)
        finally:
            self._running.remove(run)

    def _start(self, run: Run, lease_left: timedelta) -> bool:
        """Begin; False when the claim is stale, or MongoDB stayed away for as long as it stands."""
        settings, slow = self._settings, False
        give_up_at = time.monotonic() + lease_left.total_seconds()
        pause = FIRST_PAUSE_SECONDS
        while True:
            write = self._repository.start_write(
                run.claim, owner=self._worker_id, token=run.token, lease=settings.lease
            )
            try:
                document = self._writer.start(write, run.claim, run.token)
                break
            except NotStorable as exc:
                self._fail_unreadable(run, exc)
                return False
            except StoreUnavailable as exc:
                if self._draining.is_set() or time.monotonic() > give_up_at:
                    log.warning("context.not_started", error=str(exc), **run.fields)
                    return False
                slow = True
                self._draining.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        if document is None or (slow and self._repository.renew([run.hold], settings.lease)):
            log.info("context.stale", when="start", **run.fields)
            self.signals.count_stale()
            return False
        run.document = document
        return True

    def _waited(self, run: Run) -> float | None:
        """From when it was due until now; None for a poll."""
        due = run.document.get("available_at")
        if run.claim.polls or not isinstance(due, datetime):
            return None
        return (self._repository.now() - due).total_seconds()

    def _carry_out(self, worker: ClientWorker, run: Run) -> Outcome:
        document = run.document
        attempt = Attempt(
            number=document.get("attempt", 0),
            deadline=time.monotonic() + worker.service_settings.timeout,
            now=self._repository.now,
            trace_id=run.trace_id,
            before_send=lambda: self._before_send(run),
        )
        if (document.get("crashes") or 0) >= QUARANTINE_AFTER:
            log.warning("context.quarantined", crashes=document["crashes"], **run.fields)
            return carry_out_alone(worker, document, attempt)
        return worker.carry_out(document, attempt=attempt)

    def _before_send(self, run: Run) -> None:
        if self._draining.is_set():
            raise Draining("the process is shutting down")
        run.note_sent()

    # What becomes of it

    def _settle(self, run: Run, outcome: Outcome, seconds: float, pickup: float | None) -> None:
        if run.abandoned:
            return
        self._record(run, outcome, seconds, pickup)
        outcome = self._judge(run, outcome)
        if outcome.pause is not None:
            self._pause(run, outcome)
        ran = Ran(run.document, run.hold, self._worker_id, run.claim.polls, seconds, run.trace_id)
        written = self._write_back(run, outcome, ran)
        if not written:
            self.signals.count_stale()
        log.info(
            "attempt.ended" if written else "attempt.stale",
            outcome=str(outcome.kind),
            duration_ms=round(seconds * 1000),
            error_type=outcome.error.type if outcome.error else None,
            error=outcome.error.message if outcome.error else None,
            **run.fields,
        )

    def _record(self, run: Run, outcome: Outcome, seconds: float, pickup: float | None) -> None:
        self.signals.record(
            run.service_type,
            outcome=str(outcome.kind),
            failing=is_failing(outcome),
            forbidden=is_forbidden(outcome),
            context_key=context_key(run.claim.context_id),
            seconds=seconds,
            pickup_seconds=pickup,
        )

    def _judge(self, run: Run, outcome: Outcome) -> Outcome:
        """What the outcome means beside those of other contexts."""
        if outcome.kind is Kind.FAILED and is_forbidden(outcome) and self._is_key_refused(run):
            assert outcome.error is not None
            outcome = outcomes.snooze(outcome.error, FORBIDDEN_PAUSE, FORBIDDEN_PAUSE)
        if outcome.kind is not Kind.SNOOZE:
            return outcome
        return weigh(outcome, run.document, refused_alone=self._is_refused_alone(run, outcome))

    def _is_key_refused(self, run: Run) -> bool:
        try:
            self.flush()
            return self._view.forbidden_streak(run.service_type) >= FORBIDDEN_STREAK
        except BrokerUnavailable:
            return False

    def _is_refused_alone(self, run: Run, outcome: Outcome) -> bool:
        """Whether others of its service have succeeded since this one was last refused."""
        refused = outcome.error is not None and outcome.error.status_code in (403, 429)
        attempts = run.document.get("attempts") or []
        if not refused or not attempts or not run.document.get("snoozes"):
            return False
        last = attempts[-1].get("finished_at")
        if not isinstance(last, datetime):
            return False
        try:
            window = self._view.window([run.service_type])[run.service_type]
        except BrokerUnavailable:
            return False
        age = window.last_success_age_seconds
        return age is not None and age < (self._repository.now() - last).total_seconds()

    @property
    def _view(self) -> SignalView:
        if isinstance(self.signals, LocalSignals):
            return self.signals
        assert self._redis is not None
        return SharedSignals(self._redis, self._settings.namespace)

    def _pause(self, run: Run, outcome: Outcome) -> None:
        """Pause the whole service. One that cannot be stored is seen again at the next call."""
        assert outcome.pause is not None
        error = outcome.error
        by = REASONS.get((error.status_code if error else None) or 0, "retry-after")
        try:
            now = self._repository.now()
            paused = self._repository.pause_service(
                run.service_type,
                by=by,
                reason=error.message if error else "the service asked for it",
                until=now + outcome.pause,
                context_id=run.claim.context_id,
            )
        except StoreUnavailable as exc:
            log.warning("gate.not_paused", error=str(exc), **run.fields)
            return
        if paused:
            log.warning("gate.paused", by=by, seconds=outcome.pause.total_seconds(), **run.fields)

    def _write_back(self, run: Run, outcome: Outcome, ran: Ran) -> bool:
        """Write it, for as long as the context is ours; while MongoDB is away the reply is kept."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            write = write_of(outcome, ran, self._repository.now(), random.random)
            try:
                return self._writer.finish(write, run.hold)
            except NotStorable as exc:
                if outcome.kind is Kind.FAILED:
                    log.error("context.beyond_help", error=str(exc), **run.fields)
                    return False
                outcome = _not_storable(exc)
                continue
            except StoreUnavailable as exc:
                log.warning("reply.kept", error=str(exc), **run.fields)
            while True:
                if run.abandoned or self._closed.wait(pause):
                    return False
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                try:
                    fate = self._repository.fate(run.hold)
                    break
                except StoreUnavailable:
                    continue
            if fate is not Fate.HELD:
                return fate is Fate.APPLIED

    def _give_up(self, run: Run) -> None:
        """What is still running at the end of the grace: release what was not sent; for the rest
        its service says what an unknown outcome means. Its thread's own write is stale then."""
        if not run.document or not run.abandon():
            return
        if run.sent and not run.claim.polls:
            error = ErrorRecord(
                type="OutcomeUnknown", message="the worker was shut down amid the call"
            )
            outcome = outcomes.ambiguous(error, self._worker(run.service_type).policy)
        else:
            outcome = outcomes.released()
        ran = Ran(run.document, run.hold, self._worker_id, run.claim.polls, run.seconds,
                  run.trace_id)  # fmt: skip
        try:
            write = write_of(outcome, ran, self._repository.now(), random.random)
            written = self._repository.write_back(write)
        except StoreUnavailable as exc:
            log.warning("context.left_to_its_lease", error=str(exc), **run.fields)
            return
        log.warning("attempt.cut_off", outcome=str(outcome.kind), written=written, **run.fields)

    def _fail_unreadable(self, run: Run, exc: NotStorable) -> None:
        error = ErrorRecord(type="ContextUnreadable", message=f"it cannot be decoded: {exc}")
        document: Document = {}
        ran = Ran(document, run.hold, self._worker_id, run.claim.polls, run.seconds, run.trace_id)
        self._write_back(run, outcomes.failed(error), ran)
        log.error("context.unreadable", error=str(exc), **run.fields)

    def _worker(self, service_type: str) -> ClientWorker:
        with self._lock:
            found = self._workers.get(service_type)
            if found is None:
                service = self._settings.registry[service_type]
                found = import_worker(service.worker)(settings=self._settings)
                self._workers[service_type] = found
            return found


def _not_storable(exc: NotStorable) -> Outcome:
    message = f"the reply cannot be stored: {exc}"
    error = ErrorRecord(type="ResultNotStorable", message=message[:500])
    return replace(outcomes.failed(error), definite=False)
