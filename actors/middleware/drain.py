"""How a worker process stops: it takes nothing more, and settles what does not end in time."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from dramatiq import Broker, Middleware, Worker

from actors.broker import AgentBroker
from actors.carrier import CarrierFactory
from agent.logs import get_logger

GRACE = timedelta(seconds=20)
"""For calls to end. Platforms kill after 30 s, so the same is right for Dramatiq's
`--worker-shutdown-timeout`."""
SETTLE_SECONDS = 3.0

log = get_logger()


class Drain(Middleware):
    """Drains the carrier beside Dramatiq's own wait for its threads."""

    def __init__(self, carrier: CarrierFactory, grace: timedelta = GRACE) -> None:
        self._carrier = carrier
        self._grace = grace
        self._thread: threading.Thread | None = None
        self._settled_by = 0.0

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Fetch nothing more, and have the carrier end what runs."""
        assert isinstance(broker, AgentBroker)
        broker.drain()
        if not broker.opened:
            return
        self._settled_by = time.monotonic() + self._grace.total_seconds() + SETTLE_SECONDS
        self._thread = threading.Thread(target=self._drain, name="drain", daemon=True)
        self._thread.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Close the carrier when it is done, or when there is no more time."""
        if self._thread is None:
            return
        self._thread.join(timeout=max(0.0, self._settled_by - time.monotonic()))
        if self._thread.is_alive():
            log.error("worker.not_settled")  # its leases run out
        self._carrier().close()

    def _drain(self) -> None:
        try:
            self._carrier().drain(self._grace)
        except Exception:
            log.exception("worker.drain_failed")
