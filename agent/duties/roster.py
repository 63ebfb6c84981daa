"""The roster: who does the duties where there is no bridge, and when each is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakKeyDictionary

from agent.duties.adopt import Adopt
from agent.duties.callbacks import settle_of
from agent.duties.expand import Expand
from agent.duties.fire import Fire
from agent.duties.promote import promote
from agent.duties.rescue import Rescue
from agent.duties.sweep import sweep
from agent.errors import StoreUnavailable
from agent.store.mongo_context_repository import MongoContextRepository

RESCUE_SECONDS = 5.0
SETTLE_SECONDS = 2.0
SWEEP_SECONDS = 10.0
THOROUGH_SECONDS = 60.0


class Roster:
    """The duties of one repository, shared by all workers that run alone on it."""

    _rosters: ClassVar[WeakKeyDictionary[MongoContextRepository, Roster]] = WeakKeyDictionary()
    _making: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, repository: MongoContextRepository) -> None:
        settings = repository.settings
        self._rescue = Rescue.of(repository)
        adopt = Adopt.of(repository)
        expand = Expand(repository)
        settle = settle_of(repository, expand.look_again)
        look = min(settings.poll_interval, 1.0)
        self._duties: dict[str, tuple[Callable[[], object], float]] = {
            "promote": (lambda: promote(repository), look),
            "adopt": (adopt.run, look),
            "settle": (settle.run, SETTLE_SECONDS),
            "rescue": (self._rescue.run, RESCUE_SECONDS),
            "sweep": (lambda: sweep(repository), SWEEP_SECONDS),
            "adopt thoroughly": (adopt.run_thoroughly, THOROUGH_SECONDS),
            "expand": (expand.run, look),
            "fire": (Fire.of(repository).run, look),
        }
        self._due_at = dict.fromkeys(self._duties, float("-inf"))
        self._lock = threading.Lock()
        self._repository = repository
        self._prepared = False

    @classmethod
    def of(cls, repository: MongoContextRepository) -> Roster:
        """The one roster of a repository.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        with cls._making:
            found = cls._rosters.get(repository)
            if found is None:
                found = cls._rosters[repository] = cls(repository)
            return found

    def settle_soon(self) -> None:
        """A step has ended: what depends on it is due with the next round."""
        self._due_at["settle"] = float("-inf")

    def prepare(self) -> None:
        """Create the indexes, once for all workers of the repository.

        Raises:
            StoreUnavailable: MongoDB did not answer, or refused one.
        """
        with self._lock:
            if not self._prepared:
                self._repository.create_indexes()
                self._prepared = True

    def run_due(self) -> None:
        """Do what is due, unless another worker is at it.

        Raises:
            StoreUnavailable: MongoDB did not answer; what is left is due again soon.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            for name, (duty, seconds) in self._duties.items():
                now = time.monotonic()
                due_at = self._due_at[name]
                if now >= due_at:
                    self._due_at[name] = now + seconds
                    try:
                        duty()
                    except StoreUnavailable:
                        self._due_at[name] = due_at
                        raise
        except StoreUnavailable:
            self._rescue.hold_off()  # a worker that could not renew either keeps what it has
            raise
        finally:
            self._lock.release()
