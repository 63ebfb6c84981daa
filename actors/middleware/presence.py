"""The signs of life of a worker process, and the writing of what it counted."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dramatiq import Broker, Middleware, Worker

from actors.broker import AgentBroker, served_queues
from actors.carrier import CarrierFactory
from actors.middleware.boot import service_types
from agent.errors import BrokerUnavailable
from agent.logs import get_logger
from agent.models import context_key
from agent.projections.presence import Presence, Running, WorkerView
from agent.services import ServiceRegistry

BEAT_SECONDS = 2.0
FLUSH_SECONDS = 0.25

log = get_logger()


class Beat(Middleware):
    """Beats while the process serves, also while it drains; leaves at the end.

    The first beat waits for the carrier: until then nothing should be queued for this process.
    """

    def __init__(self, carrier: CarrierFactory, registry: ServiceRegistry, worker_id: str) -> None:
        self._worker_id = worker_id
        self._carrier = carrier
        self._registry = registry
        self._stopping = threading.Event()
        self._beat_at = 0.0
        self._away = False
        self._started_at = datetime.now(UTC).isoformat()
        self._thread: threading.Thread | None = None

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Begin to beat."""
        assert isinstance(broker, AgentBroker)
        self._thread = threading.Thread(
            target=self._live, args=(broker, worker), name="presence", daemon=True
        )
        self._thread.start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Say soon that nothing more should come."""
        self._beat_at = 0.0

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Leave."""
        assert isinstance(broker, AgentBroker)
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        if not broker.opened:
            return
        self._flush()
        try:
            Presence(broker.news, broker.agent_namespace).leave(self._worker_id)
        except BrokerUnavailable as exc:
            log.warning("presence.left_unsaid", error=str(exc))

    def _live(self, broker: AgentBroker, worker: Worker) -> None:
        presence = Presence(broker.news, broker.agent_namespace)
        while not self._stopping.wait(FLUSH_SECONDS):
            if broker.opened:
                self._flush()
                self._beat(presence, broker, worker)

    def _flush(self) -> None:
        try:
            self._carrier().flush()
        except BrokerUnavailable as exc:
            self._note_away(exc)
        except Exception:
            log.exception("presence.flush_failed")

    def _beat(self, presence: Presence, broker: AgentBroker, worker: Worker) -> None:
        now = time.monotonic()
        if now < self._beat_at:
            return
        self._beat_at = now + BEAT_SECONDS
        try:
            presence.beat(self._view(broker, worker))
            self._away = False
        except BrokerUnavailable as exc:
            self._note_away(exc)
        except Exception:
            log.exception("presence.beat_failed")

    def _note_away(self, exc: BrokerUnavailable) -> None:
        if not self._away:  # once an outage, not once a beat
            log.warning("presence.broker_away", error=str(exc))
        self._away = True

    def _view(self, broker: AgentBroker, worker: Worker) -> WorkerView:
        running = [_running(entry) for entry in self._carrier().running]
        return WorkerView(
            worker_id=self._worker_id,
            service_types=tuple(service_types(self._registry, served_queues(broker, worker))),
            threads=worker.worker_threads,
            busy=len(running),
            host=socket.gethostname(),
            pid=os.getpid(),
            version=_version(),
            draining=broker.draining,
            started_at=self._started_at,
            running=running,
            broker_id=broker.broker_id,
        )


def _running(entry: Mapping[str, Any]) -> Running:
    return Running(
        context_id=context_key(entry["context_id"]),
        service_type=entry["service_type"],
        since_seconds=float(entry.get("since_seconds", 0.0)),
    )


def _version() -> str:
    try:
        return version("agent")
    except PackageNotFoundError:
        return "unknown"
