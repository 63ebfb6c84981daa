"""The database's clock, kept against the monotonic clock of this process.

A host with a wrong clock does no harm: nothing here reads the host's own time. The driver's
monitor asks every server for `hello` every ten seconds anyway, so keeping up costs no operation.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import UTC, datetime

from pymongo import MongoClient
from pymongo.monitoring import (
    ServerHeartbeatFailedEvent,
    ServerHeartbeatListener,
    ServerHeartbeatStartedEvent,
    ServerHeartbeatSucceededEvent,
)

from agent.models import Document
from agent.store.connection import translated

KEPT_SAMPLES = 8
"""Samples of one primary. Delay on the way only ever makes a sample too early, so the latest
time among a few is the nearest; and a clock that was set back is believed after as many."""


class ServerClock(ServerHeartbeatListener):
    """Tells the MongoDB server's time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._primary: object = None
        self._samples: deque[float] = deque(maxlen=KEPT_SAMPLES)
        self.primary_changes = 0

    @property
    def is_known(self) -> bool:
        with self._lock:
            return bool(self._samples)

    def now(self) -> datetime:
        """The server's time, aware, in UTC, to the millisecond as BSON stores it."""
        with self._lock:  # a new primary empties the samples for a moment
            offset = max(self._samples, default=None)
        if offset is None:
            raise RuntimeError("the server's time is not known yet; call learn() first")
        seconds = offset + time.monotonic()
        return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)

    def learn(self, client: MongoClient[Document]) -> None:
        """Ask the primary once.

        Raises:
            StoreUnavailable: there is no primary that answers.
        """
        with translated():
            self._take(client.address, client.admin.command("hello"))

    def succeeded(self, event: ServerHeartbeatSucceededEvent) -> None:
        document = event.reply.document
        if document.get("isWritablePrimary", document.get("ismaster")):
            self._take(event.connection_id, document)

    def started(self, event: ServerHeartbeatStartedEvent) -> None:
        pass

    def failed(self, event: ServerHeartbeatFailedEvent) -> None:
        pass

    def _take(self, address: object, hello: Document) -> None:
        local_time = hello.get("localTime")
        if not isinstance(local_time, datetime):
            return
        aware = local_time if local_time.tzinfo else local_time.replace(tzinfo=UTC)
        sample = aware.timestamp() - time.monotonic()
        with self._lock:
            if address != self._primary:
                self.primary_changes += self._primary is not None
                self._primary = address
                self._samples.clear()
            self._samples.append(sample)
