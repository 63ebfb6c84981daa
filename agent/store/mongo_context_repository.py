"""`MongoContextRepository`: every MongoDB operation of the project, named by intent.

Each part stands in a file of its own, by who asks: the admission (`claims`), a worker (`runs`),
the duties (`upkeep`, `callbacks`), settle (`parents`, `batches`), people (`operations`,
`dead_letters`, `bulk`, `chosen`, `listing`, `priorities`), the gate
(`services`), the bridges (`locks`, `schedules`), the intake (`templates`, `purposes`,
`idempotency`), the doorbell (`watch`), the listeners of `web` (`news`), its pages (`hands`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from pymongo.monitoring import CommandListener

from agent.errors import StoreUnavailable
from agent.logs import get_logger
from agent.models import Document
from agent.settings import Settings
from agent.store import indexes
from agent.store.audit import Audit
from agent.store.batches import Batches
from agent.store.bulk import Bulk
from agent.store.callbacks import Callbacks
from agent.store.chosen import Chosen
from agent.store.claims import Claims
from agent.store.clock import ServerClock
from agent.store.connection import connect, translated
from agent.store.dead_letters import DeadLetterReads
from agent.store.families import Families
from agent.store.hands import Hands
from agent.store.idempotency import Idempotency
from agent.store.listing import Listing
from agent.store.locks import Locks
from agent.store.news import News
from agent.store.parents import Parents
from agent.store.priorities import Priorities
from agent.store.purposes import Purposes
from agent.store.runs import Runs
from agent.store.schedules import Schedules
from agent.store.services import Services
from agent.store.templates import Templates
from agent.store.upkeep import Upkeep
from agent.store.viewed import Viewed
from agent.store.watch import Watch

RETRY_SECONDS = 1.0
OLDEST_VERSION = (6, 0)

log = get_logger()


class MongoContextRepository(
    Claims, Runs, Upkeep, Priorities, Batches, Parents, DeadLetterReads, Bulk, Chosen, Services,
    Locks, Templates, Purposes, Schedules, Idempotency, Families, Listing, Audit, Callbacks, News,
    Watch, Viewed, Hands,
):  # fmt: skip
    """One process's way to MongoDB. Threads share it; a fork needs one of its own."""

    @classmethod
    def connect(cls, settings: Settings, *listeners: CommandListener) -> Self:
        """A repository of the settings' database. Nothing is connected yet.

        Args:
            listeners: are told of each command.

        Raises:
            ConfigurationError: the URI cannot be read.
        """
        clock = ServerClock()
        return cls(connect(settings, clock, *listeners), clock, settings)

    def ping(self) -> Document:
        """Ask for a sign of life: what the server says of itself.

        Raises:
            StoreUnavailable: MongoDB did not answer.
        """
        with translated():
            return self.client.admin.command("hello")

    def wait_until_there(self, is_needed: Callable[[], bool] = lambda: True) -> bool:
        """Wait for MongoDB, with a message, for as long as it is needed; whether it answers."""
        said = False
        while is_needed():
            try:
                self.clock.learn(self.client)
            except StoreUnavailable as exc:
                if not said:
                    log.warning("mongodb.away", error=str(exc), advice="waiting for it")
                said = True
                threading.Event().wait(RETRY_SECONDS)
            else:
                if said:
                    log.info("mongodb.back")
                return True
        return False

    def create_indexes(self) -> list[str]:
        """Create every index that is missing; the names of all.

        Raises:
            StoreUnavailable: MongoDB did not answer.
        """
        return indexes.create_indexes(self.database)

    def warnings(self) -> list[str]:
        """What an operator should know about this MongoDB, one sentence each.

        Raises:
            StoreUnavailable: MongoDB did not answer.
        """
        with translated():
            version = str(self.client.server_info()["version"])
        hello = self.ping()
        warnings = []
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
            warnings.append(f"MongoDB is {version}; use 6.0 or later.")
        if not hello.get("setName"):
            warnings.append(
                "MongoDB is no replica set: a crash may lose acknowledged writes, and new contexts "
                "are found by polling only."
            )
        return warnings

    def close(self) -> None:
        """Let go of the connections."""
        self.client.close()
