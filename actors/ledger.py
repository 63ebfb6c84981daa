"""What this process holds of one queue, and when it should fetch more.

It outlives the consumer, which Dramatiq replaces after each connection error, so that messages
still in the hands of threads go on counting.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

AHEAD_SECONDS = 0.05
"""How much work may wait in the process behind its own threads: what it gets through in this time.

Measured with 64 threads by `make bench` and an empty actor: ahead by half the threads at most, one
fetch brings about 16 messages. With calls of a second or more it comes to nothing, and no message
waits behind a busy process while another one is idle.
"""
RATE_WINDOW_SECONDS = 0.1
FLUSH_SECONDS = 0.05
"""How long an acknowledgement may wait for others to share its round trip."""
FLUSH_RETRY_SECONDS = 1.0


class Window(NamedTuple):
    """Fetch up to `high` when no more than `low` are outstanding."""

    high: int
    low: int


def window(share: int, acks_per_second: float) -> Window:
    """How many messages to hold for so many threads at this pace.

    Hysteresis of half of what is ahead, so that short calls are fetched in batches.
    """
    ahead = min(max(2, share // 2), math.floor(acks_per_second * AHEAD_SECONDS))
    high = share + ahead
    return Window(high, high - max(1, ahead // 2))


class Ledger:
    """Outstanding messages and acknowledgements of one queue. Thread-safe.

    Args:
        share: how many threads of the process this queue may count on.
    """

    def __init__(self, share: int) -> None:
        self.suspect = False
        """Whether a reply of Redis was lost: it may note messages as ours that we never saw."""
        self._share = share
        self._changed = threading.Condition()
        self._outstanding: set[str] = set()
        self._acked: list[str] = []
        self._flush_at = math.inf
        self._low = share
        self._dry = self._heard = self._signalled = False
        self._fetched_at = -math.inf
        self._done = 0
        self._done_since_ring = False
        self._rate = 0.0
        self._rated_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._outstanding)

    @property
    def known(self) -> frozenset[str]:
        """The ids that Redis notes as ours with good reason."""
        with self._changed:
            return frozenset(self._outstanding.union(self._acked))

    def hear(self) -> None:
        """There is news: the queue has messages, or fetching was allowed or forbidden."""
        with self._changed:
            self._heard = True
            self._signal()

    def room(self, fallback_seconds: float) -> int:
        """How many messages to fetch now; 0 while the last look found the queue empty and
        nothing was heard since, or while enough are outstanding."""
        now = time.monotonic()
        with self._changed:
            if self._heard:
                self._heard = self._dry = False
            if self._dry and now < self._fetched_at + fallback_seconds:
                return 0
            self._measure(now)
            high, self._low = window(self._share, self._rate)
            held = len(self._outstanding)
            return high - held if held <= self._low else 0

    def fetched(self, ids: Iterable[str], *, short: bool) -> bool:
        """Note what a fetch brought; whether the bridge should hear that there is room.

        Args:
            short: there was less than asked for, so the queue is empty.
        """
        with self._changed:
            self._outstanding.update(ids)
            self._fetched_at = time.monotonic()
            self._dry = short
            return short and self._take_ring()

    def ack(self, message_id: str) -> bool:
        """Note that a message is done; whether the bridge should hear that there is room."""
        with self._changed:
            if not self._acked:
                self._flush_at = time.monotonic() + FLUSH_SECONDS
                self._changed.notify()  # who waits has to look at the clock again
            self._acked.append(message_id)
            return self._finish(message_id)

    def drop(self, message_id: str) -> bool:
        """Note that a message is done and Redis knows; the answer is that of `ack`."""
        with self._changed:
            return self._finish(message_id)

    def give_up(self) -> None:
        """Count what threads still hold as done: the process ends and waits for them no longer."""
        with self._changed:
            self._acked += self._outstanding
            self._outstanding.clear()

    def take_acked(self, *, due: bool = True) -> list[str]:
        """The acknowledgements to tell Redis now: all, or none until they are due."""
        with self._changed:
            if due and time.monotonic() < self._flush_at:
                return []
            taken, self._acked = self._acked, []
            self._flush_at = math.inf
            return taken

    def give_back(self, acked: list[str]) -> None:
        """Keep acknowledgements that Redis did not take for a later try."""
        with self._changed:
            self._acked = acked + self._acked
            self._flush_at = time.monotonic() + FLUSH_RETRY_SECONDS

    def wait(self, seconds: float) -> None:
        """Wait until there is something to do: a signal, acknowledgements due, or the time."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._signalled:
                left = min(until, self._flush_at) - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)
            self._signalled = False

    def _finish(self, message_id: str) -> bool:
        self._outstanding.discard(message_id)
        self._done += 1
        self._done_since_ring = True
        if self._dry:
            return self._take_ring()
        if len(self._outstanding) <= self._low:
            self._signal()
        return False

    def _take_ring(self) -> bool:
        asked, self._done_since_ring = self._done_since_ring, False
        return asked

    def _measure(self, now: float) -> None:
        elapsed = now - self._rated_at
        if elapsed < RATE_WINDOW_SECONDS / 10:
            return
        weight = min(1.0, elapsed / RATE_WINDOW_SECONDS)
        self._rate += weight * (self._done / elapsed - self._rate)
        self._done, self._rated_at = 0, now

    def _signal(self) -> None:
        self._signalled = True
        self._changed.notify()
