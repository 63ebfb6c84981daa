"""Tells open pages that they may show something old; what is new they then ask for themselves.

However much changes and however many pages are open, MongoDB is asked for one change a second, and
pages are told at a pace that the process can bear.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import anyio

from agent.errors import AgentError
from agent.logs import get_logger, mask_secrets

MOST_LISTENERS = 500
GAP_SECONDS = 1.0
"""Between two looks into the change stream: what comes meanwhile is told of together."""
POLL_SECONDS = 2.0
"""Between two nudges where there is no change stream: all pages then look for themselves."""
AWAY_SECONDS = 5.0
"""Before MongoDB is asked again when it did not answer."""
PACE_SECONDS = 0.125
"""Between two pages that are told: a page costs some 10 ms of this process, and workers may share
its processor. Fifty open pages are then as new as six seconds ago at worst."""

log = get_logger()


class ChangeSource(Protocol):
    """What is asked of the repository."""

    def wait_for_change(self, on_open: Callable[[], None], ends: Callable[[], bool]) -> bool | None:
        """Wait until anything changes that pages show."""
        ...


class Listener:
    """One open page."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def tell(self) -> None:
        self._news.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for news; False when none came in that time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        is_told = self._news.is_set()
        self._news.clear()
        return is_told


class Nudges:
    """All open pages of this process. Lives on the event loop."""

    def __init__(self, source: ChangeSource) -> None:
        self._source = source
        self._listeners: set[Listener] = set()
        self._first: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching: asyncio.Task[None] | None = None
        self._free_at = 0.0
        self.turn = 0
        """How often all were told: a page that was made before the last time may be old."""
        self.closing = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve pages; at its end none is left waiting."""
        self._loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            self.close()
            if self._watching is not None:
                await asyncio.wait([self._watching])

    def close(self) -> None:
        """Have every stream end. May be called by a signal's handler."""
        self.closing = True
        self.tell()

    def before_telling(self, act: Callable[[], None]) -> None:
        """Do this before pages are told: what was kept for all of them is not true any more."""
        self._first.append(act)

    def tell(self) -> None:
        """Something has changed. Any thread may say so."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    @property
    def is_full(self) -> bool:
        return len(self._listeners) >= MOST_LISTENERS

    @asynccontextmanager
    async def listening(self, turn: int) -> AsyncIterator[Listener]:
        """Listen for changes.

        Args:
            turn: what the page saw of `turn` when it was made.
        """
        listener = Listener()
        self._listeners.add(listener)
        if turn != self.turn:
            listener.tell()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def pace(self) -> None:
        """Wait for the time at which the next page may be told."""
        now = asyncio.get_running_loop().time()
        at = self._free_at = max(now, self._free_at + PACE_SECONDS)
        await asyncio.sleep(at - now)

    def _tell(self) -> None:
        self.turn += 1
        for act in self._first:
            act()
        for listener in self._listeners:
            listener.tell()

    async def _watch(self) -> None:
        limiter = anyio.CapacityLimiter(1)  # never waits for a thread that a request has
        while not self._is_over():
            pause = GAP_SECONDS
            try:
                found = await anyio.to_thread.run_sync(
                    self._source.wait_for_change, self.tell, self._is_over, limiter=limiter
                )
                if found is None:
                    pause = POLL_SECONDS
                if found is not False:
                    self._tell()
            except AgentError as exc:
                pause = AWAY_SECONDS
                log.warning("pages.mongodb_away", error=mask_secrets(str(exc)))
            if not self._is_over():
                await asyncio.sleep(pause)

    def _is_over(self) -> bool:
        return self.closing or not self._listeners
