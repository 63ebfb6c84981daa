"""What the pages share, and how a change that somebody makes here is written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis
from starlette.requests import Request

from agent.api.doors import Doors
from agent.api.health import Cached
from agent.dashboard import words
from agent.dashboard.entry.sign_in import asking_address
from agent.dashboard.pages import Pages
from agent.dashboard.seen.census import Census
from agent.dashboard.seen.look import Look, look
from agent.errors import AgentError, RequestInvalid
from agent.logs import mask_secrets
from agent.projections.minutes import Minutes
from agent.settings import Settings
from agent.store.audit import LONGEST_REASON, Deed
from agent.store.mongo_context_repository import MongoContextRepository

LOOK_SECONDS = 3.0
"""However many pages are open, both servers are looked over once in that time."""


@dataclass(frozen=True, slots=True)
class House:
    """What every page is given."""

    doors: Doors
    pages: Pages
    look: Cached[Look]

    @classmethod
    def of(cls, doors: Doors, pages: Pages) -> House:
        """Put together; no server is asked."""
        census = Census(doors.repository, doors.settings.registry)
        return cls(doors, pages, Cached(lambda: look(doors, census), seconds=LOOK_SECONDS))

    @property
    def repository(self) -> MongoContextRepository:
        return self.doors.repository

    @property
    def settings(self) -> Settings:
        return self.doors.settings

    @property
    def client(self) -> redis.Redis:
        return self.doors.client

    def redis_now(self) -> datetime:
        """The time by Redis's clock, for what is read from there alone.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return datetime.fromtimestamp(Minutes(self.client, self.settings.namespace).now(), UTC)

    def changed(self) -> None:
        """A service was paused or opened: what was seen before is not shown any more."""
        self.look.forget()
        self.doors.bell.ring()

    @contextmanager
    def written_down(self, request: Request, what: str, on: Any) -> Iterator[Done]:
        """Write down who does what before it is done, and what came of it.

        Raises:
            StoreUnavailable: it cannot be written down, and so is not done.
        """
        deed = Deed(
            who=request.state.caller.name, what=what, on=words.text(words.id_word(on)),
            why=reason_of(request), address=asking_address(request),
        )  # fmt: skip
        entry_id = self.repository.note_deed(deed)
        done = Done()
        try:
            yield done
        except AgentError as exc:
            said = words.text(mask_secrets(str(exc)))
            self.repository.note_outcome(entry_id, count=0, error=said)
            raise
        self.repository.note_outcome(entry_id, count=done.count)


@dataclass(slots=True)
class Done:
    """To how many it was done."""

    count: int = 1


def reason_of(request: Request) -> str:
    """Why somebody does it, in their own words; empty if they do not say."""
    return str(request.state.form.get("reason", "")).strip()[:LONGEST_REASON]


def needed_reason(request: Request) -> str:
    """The same, where it has to be said.

    Raises:
        RequestInvalid: it is not.
    """
    reason = reason_of(request)
    if not reason:
        raise RequestInvalid("Say why: others will read it.")
    return reason
