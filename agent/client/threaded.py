"""The way straight to MongoDB for event loops: its calls, each in a thread of the loop's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.from_thread import run as run_on_loop
from anyio.to_thread import run_sync

from agent.client.calls import Call, Kind, Upload, Wait
from agent.client.events import FINAL, Event
from agent.client.mongo import LONGEST_LOOK_SECONDS, LOOK_SECONDS
from agent.client.way import Way

T = TypeVar("T")
END = object()


class Threaded:
    """A way for threads, on an event loop."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.where = way.where
        self.patience = way.patience

    async def do(self, call: Call, *, patience: float | None = None) -> dict[str, Any]:
        """What the agent answers to a call. Whoever waits holds no thread meanwhile."""
        if isinstance(call, Wait):
            return await self._wait(call, patience)
        return await run_sync(partial(self._way.do, call, patience=patience))

    async def _wait(self, call: Wait, patience: float | None) -> dict[str, Any]:
        end = anyio.current_time() + call.seconds
        pause = LOOK_SECONDS
        while True:
            look = partial(self._way.do, replace(call, seconds=0), patience=patience)
            answer = await run_sync(look)
            left = end - anyio.current_time()
            if answer.get("status") in FINAL or left <= 0:
                return answer
            await anyio.sleep(min(pause, left))
            pause = min(pause * 1.2, LONGEST_LOOK_SECONDS)

    async def upload(self, upload: Upload) -> dict[str, Any]:
        """What the agent answers to the items of a batch."""
        items = upload.items
        if not isinstance(items, Iterable):
            items = _fetched(aiter(items))
        return await run_sync(self._way.upload, replace(upload, items=items))

    def items(self, id: str) -> AsyncIterator[dict[str, Any]]:
        """The items of a batch, in the order of their rows."""
        return _stepped(self._way.items(id))

    def events(self, kind: Kind, id: str) -> AsyncIterator[Event]:
        """What becomes of one, until it is final."""
        return _stepped(self._way.events(kind, id))

    async def close(self) -> None:
        """Let go of the connections."""
        await run_sync(self._way.close)


async def _stepped(of: Iterator[T]) -> AsyncIterator[T]:
    """The same, each fetched in a thread."""
    while (each := await run_sync(next, of, END)) is not END:
        yield each  # type: ignore[misc]  # it is not the end


def _fetched(of: AsyncIterator[Any]) -> Iterator[Any]:
    """In a thread, what an iterator of the loop brings."""
    while (each := run_on_loop(anext, of, END)) is not END:
        yield each
