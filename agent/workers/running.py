"""What runs in this process now, and the heartbeat that keeps it ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agent.errors import Draining, StoreUnavailable
from agent.logs import get_logger
from agent.models import Claim, Document, context_key
from agent.store.changes import Hold
from agent.store.mongo_context_repository import MongoContextRepository

log = get_logger()


@dataclass(slots=True)
class Run:
    """One context in the hands of one thread.

    Args:
        longest: from its start until a hung thread loses its context.
    """

    claim: Claim
    service_type: str
    token: str
    trace_id: str
    longest: timedelta
    document: Document = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    sent: bool = False
    ended: bool = False
    """Its outcome is known and being written."""
    abandoned: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def hold(self) -> Hold:
        return Hold(self.claim.context_id, self.claim.fence, self.token)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def fields(self) -> dict[str, Any]:
        """What every line of the log says of it."""
        return {
            "context_id": context_key(self.claim.context_id),
            "fence": self.claim.fence,
            "attempt": self.document.get("attempt"),
            "service_type": self.service_type,
            "trace_id": self.trace_id,
        }

    def begin(self, document: Document) -> None:
        """It is ours from now on."""
        self.document = document
        self.started = time.monotonic()

    def note_sent(self) -> None:
        """The request is about to be written.

        Raises:
            Draining: it has been given up already.
        """
        with self.lock:
            if self.abandoned:
                raise Draining("the process is shutting down")
            self.sent = True

    def end(self) -> bool:
        """Its outcome is known; False if it was taken out of its thread's hands before."""
        with self.lock:
            self.ended = not self.abandoned
            return self.ended

    def abandon(self) -> bool:
        """Take it out of its thread's hands; False if it has ended, or that was done before."""
        with self.lock:
            if self.ended or self.abandoned:
                return False
            self.abandoned = True
            return True


class Running:
    """The runs of a process."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._changed = threading.Condition()

    def add(self, run: Run) -> None:
        """It has been started, or may have been."""
        with self._changed:
            self._runs[run.token] = run

    def remove(self, run: Run) -> None:
        """It has ended."""
        with self._changed:
            self._runs.pop(run.token, None)
            self._changed.notify_all()

    def all(self) -> list[Run]:
        """Those that run now, in the order of their starts."""
        with self._changed:
            return list(self._runs.values())

    def wait_until_none(self, seconds: float) -> bool:
        """Wait until nothing runs; False if that took too long."""
        return self.wait_until_all(lambda _run: False, seconds)

    def wait_until_all(self, that: Callable[[Run], bool], seconds: float) -> bool:
        """Wait until all that runs is like that; False if that took too long."""
        with self._changed:
            return self._changed.wait_for(
                lambda: all(map(that, self._runs.values())), timeout=max(0.0, seconds)
            )


class Heartbeat:
    """Renews the leases of all runs of the process in one update, in a thread of its own.

    Each until `longest` after its start and no longer: a thread that hangs loses its context.
    """

    def __init__(
        self,
        repository: MongoContextRepository,
        running: Running,
        on_lost: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._repository = repository
        self._running = running
        self._on_lost = on_lost
        self._stopping = threading.Event()
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(timeout=5.0)

    def _live(self) -> None:
        settings = self._repository.settings
        wait = pause = settings.heartbeat.total_seconds()
        while not self._stopping.wait(wait):
            began, wait = time.monotonic(), pause
            try:
                self._beat(settings.lease)
            except StoreUnavailable as exc:
                log.warning("heartbeat.missed", error=str(exc))
                wait = min(1.0, wait)  # so that it comes soon after MongoDB is back
            except Exception:
                log.exception("heartbeat.failed")
            else:  # a write that took long renewed by as much less
                wait = max(pause / 10, pause - (time.monotonic() - began))

    def _beat(self, lease: timedelta) -> None:
        runs = {
            run.token: run
            for run in self._running.all()
            if not run.abandoned and run.document and run.seconds < run.longest.total_seconds()
        }
        lost = self._repository.renew([run.hold for run in runs.values()], lease)
        fresh = [hold for hold in lost if hold.token not in self._told]
        self._told = {hold.token for hold in lost}
        still_there = {run.token for run in self._running.all()}
        for hold in fresh:
            # one that has ended is no longer ours because it was written, or its write will tell
            if hold.token in still_there and not runs[hold.token].ended:
                log.warning("lease.lost", **runs[hold.token].fields)
                self._on_lost(1)
