"""The process type `bridge`: `python -m bridge`. Any number may run; one of them works."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import redis
from apscheduler.schedulers.background import BackgroundScheduler

from agent.admission.admission import Admission
from agent.duties.adopt import Adopt
from agent.duties.callbacks import settle_of
from agent.duties.expand import Expand
from agent.duties.fire import Fire
from agent.duties.rescue import Rescue
from agent.duties.sweep import sweep
from agent.errors import AgentError, BrokerUnavailable, ConfigurationError, StoreError
from agent.logs import configure_logging, get_logger
from agent.projections.connection import check_redis, connect_redis
from agent.projections.signals import SharedSignals, Signals
from agent.settings import LEADER_LEASE, Settings, load_settings
from agent.store.mongo_context_repository import MongoContextRepository
from bridge.admit import Admit
from bridge.doorbell import Bell, Doorbell, Ring
from bridge.leader import Leadership
from bridge.ledger import Ledger
from bridge.presence import SignsOfLife
from bridge.recovery import Recovery
from bridge.rounds import Rounds
from bridge.views import Views

MAX_CONNECTIONS = 8
RESCUE_SECONDS = 5
SWEEP_SECONDS = 10
THOROUGH_SECONDS = 60
RECOVERY_SECONDS = 2
SCHEDULES_SECONDS = 0.5
BATCHES_SECONDS = 0.5
"""Asks nothing while nothing is due."""
VIEWS_SECONDS = 1
BEAT_SECONDS = 2
LEAD_SECONDS = LEADER_LEASE.total_seconds() * 0.4
"""Two tries within a lease, and few questions while idle."""
TAKEOVER_SECONDS = 0.05
"""After the end of a lease that is not renewed any more."""

log = get_logger()


class Bridge:
    """All parts of one bridge process, put together."""

    def __init__(
        self, settings: Settings, repository: MongoContextRepository, client: redis.Redis
    ) -> None:
        registry = settings.registry
        services = list(registry.values())
        self.owner = f"bridge:{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._settings = settings
        self._repository = repository
        self._client = client
        self._signals = Signals(settings.namespace)
        self._bell = Bell()
        self._ledger = Ledger()
        self._leadership = Leadership(repository, self.owner, LEADER_LEASE, self._begin)
        self._rescue = Rescue.of(repository, on_expired=self._signals.count_expired)
        self._adopt = Adopt.of(repository)
        self._fire = Fire.of(repository)
        self._expand = Expand(repository)
        self._views = Views(repository, client, settings)
        shared = SharedSignals(client, settings.namespace)
        admission = Admission(repository, services, settings, shared, self.owner)
        admit = Admit(admission, services, client, settings)
        self._recovery = Recovery(repository, client, admit, settings, registry)
        self._rounds = Rounds(
            self._bell,
            repository,
            admit,
            self._adopt,
            settle_of(repository, self._expand.look_again),
            leads=self._leads,
            on_outage=self._rescue.hold_off,
            on_promoted=self._views.note_promoted,
            ledger=self._ledger,
        )
        self._doorbell = Doorbell(
            self._bell,
            repository,
            client,
            settings.namespace,
            self._leads,
            on_schedules=self._fire.look_again,
            on_batches=self._expand.look_again,
            on_views=self._views.look_again,
        )
        self._signs = SignsOfLife(
            client,
            settings.namespace,
            self.owner,
            self._ledger,
            self._doorbell,
            leads=self._leads,
            rooms=admission.rooms,
        )
        self._scheduler = self._schedule()

    def start(self) -> None:
        """Begin; returns at once."""
        self._rounds.start()
        self._doorbell.start()
        self._scheduler.start()

    def stop(self) -> None:
        """Give the lead up at once, and end."""
        self._leadership.give_up()
        self._scheduler.shutdown(wait=False)
        self._doorbell.stop()
        self._rounds.stop()
        self._flush()
        self._signs.leave()

    def _schedule(self) -> BackgroundScheduler:
        scheduler = BackgroundScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        jobs: dict[str, tuple[Callable[[], object], float]] = {
            "rescue": (self._then_settle(self._rescue.run), RESCUE_SECONDS),
            "sweep": (self._then_settle(lambda: sweep(self._repository)), SWEEP_SECONDS),
            "adopt thoroughly": (self._adopt.run_thoroughly, THOROUGH_SECONDS),
            "flush": (self._flush, SWEEP_SECONDS),
            "recovery": (self._recovery.run, RECOVERY_SECONDS),
            "views": (self._views.run, VIEWS_SECONDS),
            "schedules": (self._then_admit(self._fire.run), SCHEDULES_SECONDS),
            "batches": (self._then_admit(self._expand.run), BATCHES_SECONDS),
        }
        for name, (job, seconds) in jobs.items():
            scheduler.add_job(self._led(name, job), "interval", seconds=seconds, id=name)
        polls = self._settings.poll_interval
        scheduler.add_job(self._tick, "interval", seconds=polls, id="tick")
        self._ledger.expect(
            {"look": polls, **{name: seconds for name, (_, seconds) in jobs.items()}}
        )
        for each, seconds in ((self._lead, LEAD_SECONDS), (self._signs.beat, BEAT_SECONDS)):
            scheduler.add_job(each, "interval", seconds=seconds, next_run_time=scheduler_now())
        return scheduler

    def _tick(self) -> None:
        if self._leads():
            self._bell.ring(Ring.TICK)

    def _lead(self) -> None:
        """Keep the lead or stand by; a lead that nobody keeps is taken the moment it is free."""
        free_in = self._leadership.step()
        if free_in is not None and free_in < LEAD_SECONDS:
            when = scheduler_now() + timedelta(seconds=free_in + TAKEOVER_SECONDS)
            self._scheduler.add_job(
                self._lead, "date", run_date=when, id="takeover", replace_existing=True
            )

    def _led(self, name: str, job: Callable[[], object]) -> Callable[[], None]:
        """A job that the leader does; what stands in its way is told once, and tried again."""
        failing = threading.Event()

        def run() -> None:
            if not self._leads():
                return
            try:
                self._ledger.run(name, job)
            except AgentError as exc:
                if not failing.is_set():
                    log.warning("job.failed", job=name, error=str(exc))
                failing.set()
            except Exception:
                log.exception("job.broken", job=name)
            else:
                failing.clear()

        return run

    def _then_settle(self, duty: Callable[[], int]) -> Callable[[], None]:
        """What it ended may have been a step; what it failed is a dead letter."""

        def run() -> None:
            if duty():
                self._views.look_again()
                self._bell.ring(Ring.SETTLE)

        return run

    def _then_admit(self, duty: Callable[[], int]) -> Callable[[], None]:
        """What it stored may run."""

        def run() -> None:
            if duty():
                self._bell.ring(Ring.ROOM)

        return run

    def _leads(self) -> bool:
        return self._leadership.leads

    def _begin(self, took_over: bool) -> None:
        self._ledger.forget()
        self._rescue.hold_off()
        try:
            self._recovery.begin(took_over)
        except AgentError as exc:
            log.warning("broker.in_doubt", error=str(exc))
        self._bell.ring(Ring.TICK)

    def _flush(self) -> None:
        try:
            self._signals.flush(self._client)
        except BrokerUnavailable as exc:
            log.debug("signals.kept", error=str(exc))


def scheduler_now() -> datetime:
    """Now, as APScheduler wants it."""
    return datetime.now(UTC)


def main() -> None:
    """Run until SIGTERM or Ctrl-C. MongoDB and Redis may be away, now and later."""
    try:
        run(load_settings())
    except ConfigurationError as exc:
        sys.stderr.write(f"{exc}\n")
        raise SystemExit(os.EX_CONFIG) from exc


def run(settings: Settings) -> None:
    """Run with these settings.

    Raises:
        ConfigurationError: one of them is wrong.
    """
    configure_logging(settings)
    # it warns of every turn that a job which still runs leaves out; that is what is asked of it
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
    stopping = threading.Event()
    _set_on_signal(stopping)
    repository = MongoContextRepository.connect(settings)
    client = connect_redis(settings, max_connections=MAX_CONNECTIONS, name="bridge")
    try:
        if not repository.wait_until_there(lambda: not stopping.is_set()):
            return
        _create_indexes(repository)
        _warn_of_redis(client)
        bridge = Bridge(settings, repository, client)
        bridge.start()
        log.info("bridge.started", owner=bridge.owner)
        stopping.wait()
        bridge.stop()
        log.info("bridge.stopped")
    finally:
        client.close()
        repository.close()


def _set_on_signal(stopping: threading.Event) -> None:
    """Stop at the first signal, and ignore the rest: at its end Python gives them back their
    defaults, and one that came then would kill a process that has done everything well."""
    numbers = (signal.SIGTERM, signal.SIGINT)

    def stop(_number: int, _frame: object) -> None:
        stopping.set()
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    for number in numbers:
        signal.signal(number, stop)


def _create_indexes(repository: MongoContextRepository) -> None:
    """`agent setup` has made them, as a rule; without them all is slow, and nothing wrong."""
    try:
        repository.create_indexes()
    except StoreError as exc:
        log.warning("indexes.missing", error=str(exc), advice="run `agent setup`")


def _warn_of_redis(client: redis.Redis) -> None:
    try:
        for warning in check_redis(client):
            log.warning("redis.unsuitable", warning=warning)
    except BrokerUnavailable as exc:
        log.warning("redis.away", error=str(exc), advice="waiting for it")


if __name__ == "__main__":
    main()
