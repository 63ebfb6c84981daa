"""The rounds of the leading bridge: one look a tick, and admission whenever the bell rings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from agent.duties.adopt import Adopt
from agent.duties.promote import promote
from agent.duties.settle import Settle
from agent.errors import AgentError, StoreUnavailable
from agent.logs import get_logger
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.upkeep import Look
from bridge.admit import Admit
from bridge.doorbell import Bell, Ring
from bridge.ledger import Ledger

GATHER_SECONDS = 0.01
"""Rings are gathered: one round in so long at most."""
LONGEST_WAIT_SECONDS = 60.0
SETTLE_SECONDS = 2.0
"""Whoever ends a step rings; this is for rings that get lost."""
IDLE_SETTLE_SECONDS = 5.0
"""While nothing is to be done: with the look that is fewer than two questions a second."""

log = get_logger()


class Rounds:
    """Runs in a thread of its own until it is stopped.

    Args:
        leads: whether this bridge is to work at all.
        on_outage: called after a round that MongoDB did not let through, or kept waiting for as
            long as would cost a worker a sign of life.
        on_promoted: told until when all that was scheduled has become pending.
        ledger: where each part of a round is noted.
    """

    def __init__(
        self,
        bell: Bell,
        repository: MongoContextRepository,
        admit: Admit,
        adopt: Adopt,
        settle: Settle,
        *,
        leads: Callable[[], bool],
        on_outage: Callable[[], None],
        on_promoted: Callable[[datetime], None] = lambda _until: None,
        ledger: Ledger | None = None,
    ) -> None:
        self._bell = bell
        self._repository = repository
        self._admit = admit
        self._adopt = adopt
        self._settle = settle
        self._settled_at = float("-inf")
        self._leads = leads
        self._on_outage = on_outage
        self._on_promoted = on_promoted
        self._ledger = Ledger() if ledger is None else ledger
        self._due_at = self._again_at = float("inf")
        self._stopping = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._live, name="rounds")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round that runs, and end."""
        self._stopping.set()
        self._bell.ring(Ring.ROOM)
        self._thread.join()

    def _live(self) -> None:
        while not self._stopping.is_set():
            rings = self._bell.wait(self._seconds_until_due())
            if self._stopping.is_set():
                return
            if not self._leads():
                self._due_at = float("inf")
                continue
            began = time.monotonic()
            self._run(rings or self._due())
            self._stopping.wait(max(0.0, began + GATHER_SECONDS - time.monotonic()))

    def _run(self, rings: Ring) -> None:
        self._again_at = float("inf")
        try:
            again = self.run(rings)
        except AgentError as exc:
            if not self._away:  # once an outage, not once a round
                log.warning("round.failed", error=str(exc), error_type=type(exc).__name__)
            self._away = True
            self._due_at = float("inf")
            if isinstance(exc, StoreUnavailable):
                self._on_outage()
        except Exception:
            log.exception("round.broken")
            self._due_at = float("inf")
        else:
            if self._away:
                log.info("round.well_again")
            self._away = False
            if again is not None:
                self._again_at = time.monotonic() + again

    def run(self, rings: Ring) -> float | None:
        """One round; in how many seconds there may be more to admit, None if nothing points to it.

        Raises:
            StoreUnavailable, BrokerUnavailable: the next round finds what this one left.
        """
        idle = False
        if Ring.TICK in rings:
            until = self._repository.now()
            seen = self._ledger.run("look", self._look)
            self._note_due(seen.next_due)
            due = seen.next_due is not None and seen.next_due <= self._repository.now()
            idle = not seen.pending and not due
            if not idle:
                rings |= Ring.FOREIGN
                self._note_due(self._ledger.run("promote", partial(promote, self._repository)))
            self._on_promoted(until)
            rings |= self._time_to_settle(idle)
        if Ring.SETTLE in rings:
            self._settled_at = time.monotonic()
            idle = not self._ledger.run("settle", self._settle.run) and idle
        if idle:
            return None
        if Ring.FOREIGN in rings:
            self._ledger.run("adopt", self._adopt.run)
        return self._ledger.run("admit", self._admit.run)

    def _time_to_settle(self, idle: bool) -> Ring:
        """Whether to settle though nobody rang for it."""
        pause = IDLE_SETTLE_SECONDS if idle else SETTLE_SECONDS
        is_time = time.monotonic() >= self._settled_at + pause
        return Ring.SETTLE if is_time else Ring.NOTHING

    def _look(self) -> Look:
        asked_at = time.monotonic()
        seen = self._repository.look()
        if time.monotonic() - asked_at > self._repository.settings.heartbeat.total_seconds():
            self._on_outage()
        return seen

    def _due(self) -> Ring:
        """What to look at when the time has come and nobody rang."""
        return Ring.TICK if time.monotonic() >= self._due_at else Ring.ROOM

    def _note_due(self, next_due: datetime | None) -> None:
        """When to promote next, by this process's clock."""
        self._due_at = float("inf")
        if next_due is not None:
            left = (next_due - self._repository.now()).total_seconds()
            self._due_at = time.monotonic() + max(0.0, left)

    def _seconds_until_due(self) -> float:
        left = min(self._due_at, self._again_at) - time.monotonic()
        return min(max(left, 0.0), LONGEST_WAIT_SECONDS)
