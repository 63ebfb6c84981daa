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
MOST_OF_ONE = 100
"""Of one person: whoever opens more at once keeps others from theirs."""
GAP_SECONDS = 1.0
"""Between two looks into the change stream: what comes meanwhile is told of together."""
POLL_SECONDS = 2.0
"""Between two nudges where there is no change stream: all pages then look for themselves."""
AWAY_SECONDS = 5.0
"""Before MongoDB is asked again when it did not answer."""
CLOSE_SECONDS = 3.0
"""For a question that MongoDB does not answer: the driver gives that up by itself, later."""
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
    """One open page.

    Args:
        who: looks at it.
    """

    def __init__(self, who: str) -> None:
        self.who = who
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
        self._turns = asyncio.Lock()
        self._free_at = 0.0
        self._ended = asyncio.Event()
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
                await asyncio.wait([self._watching], timeout=CLOSE_SECONDS)

    def close(self) -> None:
        """Have every stream end. May be called by a signal's handler."""
        self.closing = True
        self._soon(self._send_home)

    def before_telling(self, act: Callable[[], None]) -> None:
        """Do this before pages are told: what was kept for all of them is not true any more."""
        self._first.append(act)

    def tell(self) -> None:
        """Something has changed. Any thread may say so."""
        self._soon(self._tell)

    def _soon(self, act: Callable[[], None]) -> None:
        """Do it on the event loop, if there still is one."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act)

    def has_room_for(self, who: str) -> bool:
        """Whether somebody may open one more page."""
        theirs = sum(each.who == who for each in self._listeners)
        return len(self._listeners) < MOST_LISTENERS and theirs < MOST_OF_ONE

    @asynccontextmanager
    async def listening(self, who: str, turn: int) -> AsyncIterator[Listener]:
        """Listen for changes.

        Args:
            turn: what the page saw of `turn` when it was made.
        """
        listener = Listener(who)
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
        """Wait until it is this page's turn to be told; one that leaves meanwhile takes none."""
        async with self._turns:
            clock = asyncio.get_running_loop().time
            await self._pause(self._free_at - clock())
            self._free_at = clock() + PACE_SECONDS

    def _tell(self) -> None:
        self.turn += 1
        for act in self._first:
            act()
        for listener in self._listeners:
            listener.tell()

    def _send_home(self) -> None:
        self._ended.set()
        for listener in self._listeners:
            listener.tell()

    async def _pause(self, seconds: float) -> None:
        """Do nothing for a while, unless it ends meanwhile."""
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)

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
            except Exception as exc:  # pages look by themselves meanwhile
                pause = AWAY_SECONDS
                log.error("pages.bug", error=f"{type(exc).__name__}: {exc}", exc_info=exc)
            if not self._is_over():
                await self._pause(pause)

    def _is_over(self) -> bool:
        return self.closing or not self._listeners
