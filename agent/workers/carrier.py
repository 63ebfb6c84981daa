"""Carries contexts out in one process: start, call, outcome, write back.

What Dramatiq's actors and workers that run alone have in common. Any thread may call `run`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import redis

from agent import outcomes
from agent.errors import (
    BrokerUnavailable,
    Draining,
    NotStorable,
    RequestNotSendable,
    StoreUnavailable,
)
from agent.logs import get_logger
from agent.models import QUARANTINE_AFTER, Claim, Document, ErrorRecord, context_key
from agent.outcomes import Outcome
from agent.projections.connection import connect_redis
from agent.projections.feed import Feed
from agent.projections.signals import LocalSignals, Signals
from agent.services import import_worker
from agent.settings import Settings
from agent.store.changes import Write
from agent.store.ejson import id_word
from agent.store.group_writer import GroupWriter
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.soundness import can_go_on
from agent.workers.call import Attempt
from agent.workers.inputs import filled
from agent.workers.judge import Judge
from agent.workers.quarantine import carry_out_alone
from agent.workers.running import Heartbeat, Run, Running
from agent.workers.worker_base import ClientWorker
from agent.workers.write_back import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, WriteBack

MAX_CONNECTIONS = 8
WRITING_SECONDS = 2.0
PAUSED_BY = {401: "unauthorized", 403: "forbidden"}

log = get_logger()


class Carrier:
    """The contexts of one process.

    Args:
        worker_id: the owner in leases, and in `processed_by`.
        repository: one that is connected already; else `open` connects one.
        workers: by service type; they then run alone, without Redis. Else they are made from the
            registry when first needed.
        on_step_end: told whenever a step of a request has ended, or what somebody is called back
            for; must not block.
    """

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        *,
        repository: MongoContextRepository | None = None,
        workers: Mapping[str, ClientWorker] | None = None,
        on_step_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._on_step_end = on_step_end
        self._given_repository = repository
        self._workers: dict[str, ClientWorker] = dict(workers or {})
        self._lock = threading.Lock()
        self._running = Running()
        self._draining = threading.Event()
        self._closed = threading.Event()
        self._redis: redis.Redis | None = None
        kind = LocalSignals if workers else Signals
        self.signals: Signals = kind(settings.namespace)
        self._feed = Feed(settings.namespace)
        self._repository: MongoContextRepository
        self._writer: GroupWriter
        self._heartbeat: Heartbeat
        self._judge: Judge
        self._write_back: WriteBack

    # The life of the process

    def check(self, service_types: Collection[str]) -> None:
        """Look whether these can be served, without asking any server.

        Raises:
            ConfigurationError: a service has no URL, or its worker cannot be made.
        """
        for service_type in service_types:
            self._worker(service_type).check()

    def open(self) -> None:
        """Connect, and wait for MongoDB with a message. Redis is waited for by who needs it."""
        settings = self._settings
        repository = self._given_repository or MongoContextRepository.connect(settings)
        repository.wait_until_there(lambda: not self._draining.is_set())
        if not isinstance(self.signals, LocalSignals):
            self._redis = connect_redis(settings, max_connections=MAX_CONNECTIONS, name="carrier")
        self._repository = repository
        self._writer = GroupWriter(repository)
        self._heartbeat = Heartbeat(repository, self._running)
        self._judge = Judge(self.signals, self._redis, settings)
        self._write_back = WriteBack(
            repository, self._writer, self._worker_id, self._closed, self._note_written
        )

    def flush(self) -> None:
        """Write what was counted, and what the views of Redis are to say.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        if self._redis is not None:
            self.signals.flush(self._redis)
            self._feed.flush(self._redis)

    def drain(self, grace: timedelta) -> None:
        """Take nothing more, and return when nothing runs; settle what still does after `grace`."""
        self._draining.set()
        if self._running.wait_until_none(grace.total_seconds()):
            return
        for run in self._running.all():
            self._write_back.give_up(run, self._worker(run.service_type).policy)
        # those whose reply is there are being written, which takes a moment or an outage
        self._running.wait_until_all(lambda run: not run.ended, WRITING_SECONDS)

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
        except BaseException as exc:
            # a worker's own code wants to end the process, which is not its own; what the
            # exception says may be the payload, so that nobody else is to log it
            log.error(
                "context.left_to_its_lease",
                context_id=context_key(context_id),
                fence=fence,
                service_type=service_type,
                error_type=type(exc).__name__,
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
            if self._start(run, worker.service_settings.queue_lease):
                pickup = self._waited(run)
                outcome = self._carry_out(worker, run)
                self._settle(run, outcome, run.seconds, pickup)
        finally:
            self._running.remove(run)

    def _start(self, run: Run, claim_lease: timedelta) -> bool:
        """Begin; False when the claim is stale, or MongoDB stayed away for as long as it stands."""
        lease, slow = self._settings.lease, False
        pause = FIRST_PAUSE_SECONDS
        while True:
            asked_at = time.monotonic()
            write = self._repository.start_write(
                run.claim, owner=self._worker_id, token=run.token, lease=lease
            )
            try:
                document = self._writer.start(write, run.claim, run.token)
                waited = time.monotonic() - asked_at
                slow = slow or waited > self._settings.heartbeat.total_seconds()
                break
            except NotStorable as exc:
                self._refuse(run, exc)
                return False
            except StoreUnavailable as exc:
                if self._draining.is_set() or run.seconds > claim_lease.total_seconds():
                    log.warning("context.not_started", error=str(exc), **run.fields)
                    return False
                slow = True  # the lease that a lost or late answer began may be old by now
                self._draining.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        if document is None or (slow and self._repository.renew([run.hold], lease)):
            log.info("context.stale", **run.fields)
            self.signals.count_stale()
            return False
        if not can_go_on(document):
            self._hand_over(run, run.token)
            return False
        run.begin(document)
        return True

    def _waited(self, run: Run) -> float | None:
        """Seconds from when it was due until now; None for a poll."""
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
        if not run.claim.polls:
            try:
                document = self._filled(run)
            except RequestNotSendable as exc:
                return worker.outcome_of(exc)
            except Draining:
                return outcomes.released()
        if (document.get("crashes") or 0) >= QUARANTINE_AFTER:
            log.warning("context.quarantined", crashes=document["crashes"], **run.fields)
            return carry_out_alone(worker, document, attempt)
        return worker.carry_out(document, attempt=attempt)

    def _filled(self, run: Run) -> Document:
        """The context as its service gets it, once MongoDB says what the steps before it brought.

        Raises:
            RequestNotSendable: a placeholder of its template has no value.
            Draining: MongoDB stayed away until the process stops, or for too long.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return filled(run.document, self._repository.results_of)
            except NotStorable as exc:
                raise RequestNotSendable(f"results of a step cannot be decoded: {exc}") from exc
            except StoreUnavailable as exc:
                if run.seconds > run.longest.total_seconds() or self._draining.wait(pause):
                    log.warning("context.released", error=str(exc), **run.fields)
                    raise Draining("the results of the steps before it cannot be read") from exc
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _before_send(self, run: Run) -> None:
        if self._draining.is_set():
            raise Draining("the process is shutting down")
        run.note_sent()

    def _settle(self, run: Run, outcome: Outcome, seconds: float, pickup: float | None) -> None:
        if not run.end():
            return
        self._judge.record(run, outcome, seconds, pickup)
        outcome = self._judge.weigh(run, outcome, self._repository.now())
        if outcome.pause is not None:
            self._pause(run, outcome, outcome.pause)
        written = self._write_back.settle(run, outcome, seconds)
        if written is None:
            self.signals.count_stale()
        elif run.document.get("step") is not None or "callbacks" in run.document:
            self._on_step_end()
        ended = written or outcome
        log.info(
            "attempt.stale" if written is None else "attempt.ended",
            outcome=str(ended.kind),
            duration_ms=round(seconds * 1000),
            **_told(ended.error),
            **run.fields,
        )

    def _note_written(self, document: Document, write: Write) -> None:
        """For the views of Redis, where there is one. What a run wrote stands, whatever this does:
        another program may have put anything into its context."""
        if self._redis is None or not document:
            return
        try:
            self._feed.note(document, write.update, id_word(document["_id"]))
        except Exception:
            log.exception("views.not_told", context_id=context_key(document.get("_id")))

    def _pause(self, run: Run, outcome: Outcome, pause: timedelta) -> None:
        """Pause the whole service. A pause that cannot be stored is seen again at the next call."""
        error = outcome.error
        by = PAUSED_BY.get((error and error.status_code) or 0, "retry-after")
        try:
            paused = self._repository.pause_service(
                run.service_type,
                by=by,
                reason=error.message if error else "the service asked for it",
                until=self._repository.now() + pause,
                context_id=run.claim.context_id,
            )
        except StoreUnavailable as exc:
            log.warning("gate.not_paused", error=str(exc), **run.fields)
            return
        if paused:
            log.warning("gate.paused", by=by, seconds=pause.total_seconds(), **run.fields)

    def _hand_over(self, run: Run, token: str | None) -> None:
        """Leave to adoption what another program has spoilt, before anything is sent."""
        if self._repository.hand_over(run.claim, token):
            log.warning("context.handed_over", **run.fields)

    def _refuse(self, run: Run, exc: NotStorable) -> None:
        """It was started and cannot be decoded, or its attempts cannot be counted."""
        error = ErrorRecord(type="ContextUnreadable", message=f"it cannot be decoded: {exc}")
        if self._write_back.settle(run, outcomes.failed(error), run.seconds) is None:
            self._hand_over(run, None)
            return
        log.error("context.unreadable", error=str(exc), **run.fields)

    def _worker(self, service_type: str) -> ClientWorker:
        with self._lock:
            found = self._workers.get(service_type)
            if found is None:
                service = self._settings.registry[service_type]
                found = import_worker(service.worker)(settings=self._settings)
                self._workers[service_type] = found
            return found


def _told(error: ErrorRecord | None) -> dict[str, Any]:
    """What a line says of an error: not its message, where a service may have echoed a payload."""
    return {} if error is None else {"error_type": error.type, "status_code": error.status_code}
