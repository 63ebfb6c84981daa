"""The views of Redis, kept true to MongoDB: built anew when Redis lost them, else corrected slowly.

Workers put in what they write, and what was due is taken out; this finds what both have missed.
While nothing happens it asks MongoDB three questions a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import redis

from agent.logs import get_logger
from agent.models import IN_FLIGHT, Document, Status
from agent.projections.entries import Entry, dead_entry, retry_entry
from agent.projections.minutes import MINUTE_SECONDS, Minutes, Sample
from agent.projections.remembered import replies_of, rows_of
from agent.projections.views import LIMIT, State, View
from agent.settings import Settings
from agent.store.ejson import id_word
from agent.store.mongo_context_repository import MongoContextRepository

CORRECT_SECONDS = 60.0
ASKED_SECONDS = 2.0
"""Between two corrections that were asked for; at most a tenth of the time is spent on them."""
REST_FACTOR = 10
REMEMBERED = 10_000
"""Contexts that the minutes are built anew from: those that were made last."""

log = get_logger()


@dataclass(slots=True)
class Kept:
    """One view, and how it is read from MongoDB."""

    view: View
    read: Callable[[int], list[Document]]
    count: Callable[[], int]
    entry_of: Callable[[Document, str], Entry | None]
    asked: bool = True
    """Whether it may not be true any more."""
    not_before: float = float("-inf")
    due_at: float = float("-inf")

    def is_due(self, state: State, now: float) -> bool:
        """Whether it is time to correct it."""
        if not state.is_built:
            return True
        is_short = state.more > 0 and state.count < LIMIT // 2
        return now >= self.due_at or ((self.asked or is_short) and now >= self.not_before)

    def correct(self, monotonic: Callable[[], float]) -> int:
        """Have it hold what MongoDB holds; how many entries were not as they should be.

        What is there is read first: what a worker puts in meanwhile is newer than what MongoDB told
        and is left alone.

        Raises:
            StoreUnavailable, BrokerUnavailable: what is left the next look finds.
        """
        began, self.asked = monotonic(), False
        before = self.view.snapshot()
        documents = self.read(LIMIT + 1)
        entries = [self.entry_of(each, id_word(each["_id"])) for each in documents[:LIMIT]]
        more = max(1, self.count() - LIMIT) if len(documents) > LIMIT else 0
        changed = self.view.correct(before, [entry for entry in entries if entry is not None], more)
        ended = monotonic()
        self.not_before = ended + max(ASKED_SECONDS, REST_FACTOR * (ended - began))
        self.due_at = ended + max(CORRECT_SECONDS, REST_FACTOR * (ended - began))
        return changed


class Views:
    """All views of one installation; `run` comes once a second, by one thread at a time."""

    def __init__(
        self,
        repository: MongoContextRepository,
        client: redis.Redis,
        settings: Settings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        namespace = settings.namespace
        self._repository = repository
        self._services = list(settings.registry)
        self._monotonic = monotonic
        self._retries = Kept(
            View(client, namespace, "retries"),
            repository.to_be_tried_again,
            repository.count_again,
            retry_entry,
        )
        self._dead = Kept(
            View(client, namespace, "dead"),
            repository.newest_failures,
            repository.count_failures,
            dead_entry,
        )
        self._minutes = Minutes(client, namespace)
        self._asked = threading.Event()
        self._promoted_until: datetime | None = None
        self._sample_at = float("-inf")

    def look_again(self) -> None:
        """Somebody changed what the views show, and did not tell what; any thread may say so."""
        self._asked.set()

    def note_promoted(self, until: datetime) -> None:
        """Whatever was to be tried again by then has been made pending."""
        self._promoted_until = until

    def run(self) -> None:
        """One look.

        Raises:
            StoreUnavailable, BrokerUnavailable: the next look finds what this one left.
        """
        if self._asked.is_set():
            self._asked.clear()
            self._retries.asked = self._dead.asked = True
        is_lost = False
        for kept in (self._retries, self._dead):
            state = kept.view.state()
            is_lost = is_lost or not state.is_built
            if kept.is_due(state, self._monotonic()):
                self._correct(kept, state)
            elif kept is self._retries and state.count and self._promoted_until is not None:
                kept.view.drop_until(self._promoted_until)
        self._keep_minutes(is_lost)

    def _correct(self, kept: Kept, state: State) -> None:
        changed = kept.correct(self._monotonic)
        if not state.is_built:
            log.info("view.built", view=kept.view.name, changed=changed)
        elif changed:
            log.debug("view.corrected", view=kept.view.name, changed=changed)

    def _keep_minutes(self, is_lost: bool) -> None:
        """Note once a minute what waits; build anew what Redis lost."""
        if self._monotonic() < self._sample_at and not is_lost:
            return
        now = self._minutes.now()
        minute = int(now // MINUTE_SECONDS)
        if not self._minutes.is_built():
            ahead = now - self._repository.now().timestamp()
            ended = self._repository.newest_ended(REMEMBERED)
            rows = rows_of(ended, ahead)
            self._minutes.rebuild(rows, minute, replies_of(ended, ahead))
            log.info("minutes.built", minutes=len(rows))
        counts = self._repository.count_waiting()
        samples = {name: _sample(counts.get(name, {})) for name in self._services}
        self._minutes.sample(minute, samples)
        self._sample_at = self._monotonic() + MINUTE_SECONDS - now % MINUTE_SECONDS


def _sample(counts: dict[str, int]) -> Sample:
    return Sample(
        pending=counts.get(Status.PENDING, 0),
        scheduled=counts.get(Status.SCHEDULED, 0),
        in_flight=sum(counts.get(status, 0) for status in IN_FLIGHT),
    )
