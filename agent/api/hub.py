"""Those who listen for changes of contexts, and the one change stream that they share.

A thread reads the stream while anybody listens, and only says which contexts have changed. Their
states are read for all listeners in one question. Where the server has no change streams, and as a
precaution where it has, all that somebody listens for is looked at every so often.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio

from agent.api import problem_kinds as kinds
from agent.api.problems import Problem
from agent.errors import AgentError
from agent.logs import get_logger, mask_secrets
from agent.models import Document
from agent.store.ejson import encode_id

MOST_LISTENERS = 2000
GATHER_SECONDS = 0.03
"""Changes that come so close together are looked at together."""
POLL_SECONDS = 1.0
"""Between two looks where there is no change stream."""
LOOK_SECONDS = 5.0
"""Between two looks where there is one: it breaks now and then."""
IDLE_SECONDS = 30.0
"""The stream is kept open so long when nobody listens any more."""
PAUSE_SECONDS = 1.0
"""Before the stream is opened again."""

log = get_logger()


class NewsSource(Protocol):
    """What the hub asks of the repository."""

    def states_of(self, ids: Sequence[Any]) -> list[Document]:
        """The states of these contexts."""
        ...

    def watch_changes(self, on_change: Callable[[Any], None], ends: Callable[[], bool]) -> bool:
        """Tell which contexts change, until it ends; False where there are no change streams."""
        ...


def key_of(context_id: Any) -> str:
    """An id as a key of a dictionary, which a document as an id is not."""
    return context_id if isinstance(context_id, str) else json.dumps(encode_id(context_id))


class Listener:
    """One who listens for some contexts: their latest states, and whether there is news."""

    def __init__(self, ids: Iterable[Any]) -> None:
        self.ids = {key_of(each): each for each in ids}
        self.states: dict[str, Document] = {}
        self._news = asyncio.Event()

    def tell(self, state: Document) -> None:
        key = key_of(state["_id"])
        if self.states.get(key) != state:
            self.states[key] = state
            self._news.set()

    def wake(self) -> None:
        self._news.set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait for news; False when none came in that time."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return False
        self._news.clear()
        return True


class Hub:
    """All who listen in this process. But for its thread it lives on the event loop."""

    def __init__(self, source: NewsSource) -> None:
        self._source = source
        self._listeners: dict[str, set[Listener]] = {}
        self._count = 0
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self._wake = asyncio.Event()
        self._has_streams = True
        self._thread: threading.Thread | None = None
        self._left_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self.closing = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve listeners; at its end none is left waiting."""
        self._loop = asyncio.get_running_loop()
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self.close()
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            self._ended.set()
            if self._thread is not None:
                await anyio.to_thread.run_sync(self._thread.join, 5.0)

    def close(self) -> None:
        """Have everybody go home. May be called by a signal's handler."""
        self.closing = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._send_home)

    def _send_home(self) -> None:
        for listener in {each for group in self._listeners.values() for each in group}:
            listener.wake()

    @asynccontextmanager
    async def listening(self, ids: Iterable[Any]) -> AsyncIterator[Listener]:
        """Listen for these contexts; what they are now comes first.

        Raises:
            Problem: there are too many listeners.
        """
        if self._count >= MOST_LISTENERS:
            raise Problem(kinds.UNAVAILABLE, f"{MOST_LISTENERS:,} listen to this process already")
        listener = Listener(ids)
        self._count += 1
        for key in listener.ids:
            self._listeners.setdefault(key, set()).add(listener)
        try:
            self._open()
            self._note(listener.ids)
            self._wake.set()
            yield listener
        finally:
            self._leave(listener)

    def _leave(self, listener: Listener) -> None:
        self._count -= 1
        for key in listener.ids:
            group = self._listeners[key]
            group.discard(listener)
            if not group:
                del self._listeners[key]
        if not self._count and self._loop is not None:
            self._left_at = self._loop.time()

    # Looking

    async def _look(self) -> None:
        """Tell listeners the states of what has changed, and every so often of everything."""
        limiter = anyio.CapacityLimiter(1)  # never waits for a thread that a request has
        looked_at = 0.0
        while True:
            await self._wait(looked_at)
            if time.monotonic() >= looked_at + self._every:
                looked_at = time.monotonic()
                self._note(self._listeners)
            self._wake.clear()
            ids = self._take()
            if not ids:
                continue
            try:
                found = await anyio.to_thread.run_sync(self._source.states_of, ids, limiter=limiter)
            except AgentError as exc:
                log.warning("listeners.mongodb_away", error=mask_secrets(str(exc)))
                continue
            for state in found:
                for listener in self._listeners.get(key_of(state["_id"]), ()):
                    listener.tell(state)

    @property
    def _every(self) -> float:
        return LOOK_SECONDS if self._thread is not None else POLL_SECONDS

    async def _wait(self, looked_at: float) -> None:
        """Wait until something has changed, or it is time to look at everything."""
        left = looked_at + self._every - time.monotonic() if self._count else None
        try:
            await asyncio.wait_for(self._wake.wait(), left)
        except TimeoutError:
            return
        await asyncio.sleep(GATHER_SECONDS)

    def _note(self, keys: Iterable[str]) -> None:
        with self._lock:
            self._changed.update(keys)

    def _take(self) -> list[Any]:
        """The ids of what has changed, of which somebody wants to hear."""
        with self._lock:
            keys, self._changed = self._changed, set()
        groups = ((key, self._listeners.get(key)) for key in keys)
        return [next(iter(group)).ids[key] for key, group in groups if group]

    # The stream

    def _open(self) -> None:
        if self._has_streams and self._thread is None and not self._ended.is_set():
            self._thread = threading.Thread(target=self._watch, name="listeners", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while not self._is_idle():
            if not self._source.watch_changes(self._on_change, self._is_idle):
                self._has_streams = False
                log.info("listeners.polling", reason="the server has no change streams")
                break
            if self._ended.wait(0 if self._is_idle() else PAUSE_SECONDS):
                return
        self._tell_loop(self._stopped)

    def _stopped(self) -> None:
        self._thread = None
        if self._count:
            self._open()

    def _is_idle(self) -> bool:
        """Whether nobody has listened for a while."""
        loop = self._loop
        if self._ended.is_set() or loop is None:
            return True
        return not self._count and loop.time() - self._left_at > IDLE_SECONDS

    def _on_change(self, context_id: Any) -> None:
        key = key_of(context_id)
        if key in self._listeners:
            self._note((key,))
            self._tell_loop(self._wake.set)

    def _tell_loop(self, what: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)
