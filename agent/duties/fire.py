"""Fire: what schedules ask for is asked for when it is due, once for each due time.

First the request is stored, under an id that its schedule and due time give; then the next due time
is written, under a guard. Whoever dies in between, or does the same at the same time, changes
nothing: the same id is there already, and the guard holds once.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime

from agent.errors import (
    AgentError,
    ContextUnreadable,
    RequestInvalid,
    StillInProgress,
    StoreUnavailable,
)
from agent.intake.schedule import CatchUp, Decision, decide, rule_of
from agent.intake.schedules import Schedules
from agent.intake.values import as_date
from agent.logs import get_logger
from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.schedules import PAGE

LOOK_SECONDS = 12.0
"""Who stores a schedule rings; this is for rings that get lost, and for other programs."""
MOST_OF_ONE = 100
"""Due times of one schedule in a row, before the others get their turn."""
LONGEST_RUN_SECONDS = 2.0
"""What is left then is for the next run."""

log = get_logger()


class Fire:
    """Fires what is due. While nothing is, it asks once in `LOOK_SECONDS`."""

    def __init__(self, repository: MongoContextRepository, schedules: Schedules) -> None:
        self._repository = repository
        self._schedules = schedules
        self._look_at = float("-inf")
        self._rung = threading.Event()

    @classmethod
    def of(cls, repository: MongoContextRepository) -> Fire:
        """By the settings, with the templates of their folders.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        return cls(repository, Schedules.of(repository))

    def look_again(self) -> None:
        """Schedules have changed; any thread may say so."""
        self._rung.set()

    def run(self) -> int:
        """Fire what is due, within bounds; how many requests were stored, or were there.

        Raises:
            StoreUnavailable: MongoDB did not answer; what is left is due at the next run.
        """
        if not self._rung.is_set() and time.monotonic() < self._look_at:
            return 0
        self._rung.clear()
        self._look_at = float("-inf")
        until = time.monotonic() + LONGEST_RUN_SECONDS
        fired = 0
        while True:
            names = self._repository.upcoming_schedules()
            now = self._repository.now()
            due = [name for name, next_at in names if next_at <= now]
            fired += sum(self._fire_all(name, until) for name in due)
            if len(due) < PAGE or time.monotonic() > until:
                self._note_next(names[0][1] if names else None, now)
                return fired

    def _note_next(self, next_at: datetime | None, now: datetime) -> None:
        """When to look next: at once where something was due, as more of it may be."""
        left = LOOK_SECONDS
        if next_at is not None:
            left = min(left, (next_at - now).total_seconds())
        self._look_at = time.monotonic() + left

    def _fire_all(self, name: str, until: float) -> int:
        """Fire what is due of one schedule; what is wrong with it costs only itself."""
        fired = 0
        for _ in range(MOST_OF_ONE):
            read = self._repository.find_schedule(name)
            if read is None or read.get("paused") is not False or time.monotonic() > until:
                break
            try:
                fires = self._fire(read)
            except StoreUnavailable:
                raise
            except StillInProgress:  # who has its unique key will be known at the next run
                break
            except (AgentError, TypeError, ValueError, KeyError) as exc:
                log.error("schedule.unreadable", schedule=name, error=str(exc))
                self._repository.give_up_schedule(read, f"paused, as it cannot be read: {exc}")
                break
            if fires is None:
                break
            fired += fires
        return fired

    def _fire(self, read: Document) -> bool | None:
        """Fire the due time that is stored; whether something came of it, None: none is due."""
        due, now = as_date(read["next_at"]), self._repository.now()
        if due is None or due > now:
            return None
        decision = decide(rule_of(read), due, now, CatchUp(read["catch_up"]))
        if decision.fires:
            return self._store(read, due, decision)
        log.info("schedule.missed", schedule=read["_id"], due_at=due, next_at=decision.next_at)
        self._repository.advance_schedule(read, decision.next_at)
        return False

    def _store(self, read: Document, due: datetime, decision: Decision) -> bool:
        name = read["_id"]
        try:
            submitted = self._schedules.fire(read, due)
        except (RequestInvalid, ContextUnreadable) as exc:
            log.error("schedule.failed", schedule=name, due_at=due, error=str(exc))
            self._repository.advance_schedule(
                read, decision.next_at, error=f"nothing came of {due.isoformat()}: {exc}"[:1000]
            )
            return False
        if submitted.existing:
            log.info("schedule.still_running", schedule=name, due_at=due, context_id=submitted.id)
            self._repository.advance_schedule(read, decision.next_at)
            return False
        if self._repository.advance_schedule(read, decision.next_at, fired=submitted.id):
            log.info("schedule.fired", schedule=name, due_at=due, context_id=submitted.id)
        return True
