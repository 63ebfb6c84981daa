"""Which bridge works: a lease in MongoDB, kept by one and watched by the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from agent.errors import StoreUnavailable
from agent.logs import get_logger
from agent.store.locks import Lead
from agent.store.mongo_context_repository import MongoContextRepository

log = get_logger()


class Leadership:
    """The lead of one process.

    Args:
        on_begin: called when it begins to lead, with whether the last leader fell silent.
    """

    def __init__(
        self,
        repository: MongoContextRepository,
        owner: str,
        lease: timedelta,
        on_begin: Callable[[bool], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._owner = owner
        self._lease = lease
        self._on_begin = on_begin
        self._monotonic = monotonic
        self._until = float("-inf")
        self._asking = threading.Lock()
        self._given_up = False

    @property
    def leads(self) -> bool:
        """Whether it leads, by its own clock: a process that was stopped knows that it may not."""
        return self._monotonic() < self._until

    def step(self) -> float | None:
        """Keep the lead, or take it if it is free.

        Returns:
            For one that stands by: the seconds until the lead is free, unless its leader keeps it.
        """
        with self._asking:  # a process that gives the lead up must not take it again meanwhile
            if self._given_up:
                return None
            asked_at = self._monotonic()
            led = self.leads
            try:
                lead = self._repository.lead(self._owner, self._lease)
                free_in = self._free_in() if lead is Lead.FOLLOWS else None
            except StoreUnavailable as exc:
                log.warning("lead.unknown", leads=self.leads, error=str(exc))
                return None
            if lead is Lead.FOLLOWS:
                if self._until > float("-inf"):
                    log.warning("lead.lost")
                self._until = float("-inf")
                return free_in
            self._until = asked_at + self._lease.total_seconds()
        if lead is not Lead.LEADS or not led:
            log.info("lead.begun", how=lead.value)
            self._on_begin(lead is not Lead.BEGAN)
        return None

    def give_up(self) -> None:
        """Let the next bridge lead at once, and ask no more."""
        with self._asking:
            self._given_up = True
            led, self._until = self.leads, float("-inf")
        if not led:
            return
        try:
            self._repository.give_up_lead(self._owner)
        except StoreUnavailable as exc:
            log.warning("lead.not_given_up", error=str(exc))
        else:
            log.info("lead.given_up")

    def _free_in(self) -> float:
        leader = self._repository.leader()
        if leader is None:
            return 0.0
        left: timedelta = leader["expires_at"] - self._repository.now()
        return max(0.0, left.total_seconds())
