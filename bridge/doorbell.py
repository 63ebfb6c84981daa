"""The doorbell: news that there may be work, gathered until the loop looks.

A ring that comes while a round runs is not lost: the loop looks at the flag before it sleeps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import IntFlag

import redis

from agent.projections.doorbell import BATCHES, SCHEDULES, VIEWS, Listener, doorbell_channel
from agent.store.mongo_context_repository import MongoContextRepository

STREAM_RETRY_SECONDS = 5.0
"""A stream that ends sooner than this is not opened anew at once."""
LEAD_SECONDS = 0.1
"""How often a bridge that stands by looks whether it leads; that costs nobody anything."""


class Ring(IntFlag):
    """What a round should look at."""

    NOTHING = 0
    ROOM = 1
    """Workers have room, or there is something new: admit."""
    FOREIGN = 2
    """Another program inserted something: adopt it first."""
    TICK = 4
    """The time has come to look at everything."""
    SETTLE = 8
    """A step has ended, or somebody asked something of a request: what depends on it first."""

    @classmethod
    def of(cls, text: str) -> Ring:
        """What somebody means who rings over Redis."""
        what = {"foreign": cls.FOREIGN, "settle": cls.SETTLE}
        return cls.ROOM | what.get(text, cls.NOTHING)


class Bell:
    """Gathers rings for one loop."""

    def __init__(self) -> None:
        self._rings = Ring.NOTHING
        self._changed = threading.Condition()

    def ring(self, what: Ring) -> None:
        """There may be work; any thread may say so."""
        with self._changed:
            self._rings |= what
            self._changed.notify()

    def wait(self, seconds: float) -> Ring:
        """Wait for rings, so long at most, and take all of them."""
        with self._changed:
            if not self._rings:
                self._changed.wait(seconds)
            taken, self._rings = self._rings, Ring.NOTHING
            return taken


class Doorbell:
    """Rings the bell for news over Redis, and over MongoDB's change stream while it leads."""

    def __init__(
        self,
        bell: Bell,
        repository: MongoContextRepository,
        client: redis.Redis,
        namespace: str,
        leads: Callable[[], bool],
        *,
        on_schedules: Callable[[], None] = lambda: None,
        on_batches: Callable[[], None] = lambda: None,
        on_views: Callable[[], None] = lambda: None,
    ) -> None:
        self._bell = bell
        self._on = {SCHEDULES: on_schedules, BATCHES: on_batches, VIEWS: on_views}
        self._repository = repository
        self._leads = leads
        self._stopping = threading.Event()
        self._watching = False
        self._listener = Listener(
            client, [doorbell_channel(namespace)], self._hear, name="doorbell"
        )
        self._watcher = threading.Thread(target=self._watch, name="change-stream", daemon=True)

    @property
    def listens(self) -> bool:
        """Whether rings over Redis are heard now, as far as is known."""
        return self._listener.connected

    @property
    def watches(self) -> bool:
        """Whether MongoDB's change stream is followed now, as far as is known."""
        return self._watching

    def start(self) -> None:
        """Begin to listen."""
        self._listener.start()
        self._watcher.start()

    def stop(self) -> None:
        """Stop listening. The change stream ends with its connection."""
        self._stopping.set()
        self._listener.stop()

    def _hear(self, _channel: str, text: str) -> None:
        if (on_news := self._on.get(text)) is not None:
            on_news()
        self._bell.ring(Ring.of(text))

    def _watch(self) -> None:
        supported = True
        while supported and not self._stopping.is_set():
            began = time.monotonic()
            if self._leads():
                supported = self._repository.watch_inserts(self._inserted, self._ends)
                self._watching = False
            broke = self._leads() and time.monotonic() - began < STREAM_RETRY_SECONDS
            self._stopping.wait(STREAM_RETRY_SECONDS if broke else LEAD_SECONDS)

    def _inserted(self, foreign: bool) -> None:
        self._watching = True  # it calls back as soon as it is open
        self._bell.ring(Ring.ROOM | Ring.FOREIGN if foreign else Ring.ROOM)

    def _ends(self) -> bool:
        """Whether the change stream should be closed: only the leader's is open."""
        return self._stopping.is_set() or not self._leads()
