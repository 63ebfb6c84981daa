"""Listeners: one change stream for all of them, and polling where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from bson import ObjectId

from agent.api import hub as hubs
from agent.api.hub import Hub, Listener, key_of
from agent.api.problems import Problem
from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context

LISTENERS = 200
SOON = 20.0


class Counted:
    """The repository, with a count of what is asked of it."""

    def __init__(self, repository: MongoContextRepository, *, has_streams: bool = True) -> None:
        self._repository = repository
        self._has_streams = has_streams
        self.streams = 0
        self.open = 0
        self.questions = 0

    def states_of(self, ids: Any) -> list[Document]:
        self.questions += 1
        return self._repository.states_of(ids)

    def watch_changes(self, on_change: Callable[[Any], None], ends: Callable[[], bool]) -> bool:
        self.streams += 1
        if not self._has_streams:
            return False
        self.open += 1
        try:
            return self._repository.watch_changes(on_change, ends)
        finally:
            self.open -= 1


async def until(listener: Listener, context_id: Any, status: str) -> None:
    """Listen until it has this status."""

    async def wait() -> None:
        while listener.states.get(key_of(context_id), {}).get("status") != status:
            await listener.wait()

    await asyncio.wait_for(wait(), SOON)


async def stream_tells_of(
    listener: Listener, repository: MongoContextRepository, context_id: Any
) -> None:
    """Wait until the stream is open: it tells nothing of what was before."""
    for attempt in range(100):
        change = {"$set": {"attempt": attempt + 1}}
        await asyncio.to_thread(repository.contexts.update_one, {"_id": context_id}, change)
        if await listener.wait(0.2):
            return
    raise AssertionError("no stream")


def run(source: Counted, act: Callable[[Hub], Awaitable[None]]) -> None:
    async def within() -> None:
        hub = Hub(source)
        async with hub.running():
            await act(hub)

    asyncio.run(within())


def insert(repository: MongoContextRepository, *ids: Any) -> None:
    repository.contexts.insert_many([a_context(_id=each) for each in ids])


@pytest.mark.parametrize("has_streams", [True, False])
def test_all_listeners_share_one_stream(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch, has_streams: bool
) -> None:
    """What they listen for is read for all of them together; where the server has no change
    streams, every so often."""
    if has_streams:  # so that only the stream can tell
        monkeypatch.setattr(hubs, "LOOK_SECONDS", 1000.0)
    ids = [f"ctx_{number}" for number in range(LISTENERS - 1)] + [ObjectId()]
    insert(repository, *ids)
    source = Counted(repository, has_streams=has_streams)

    async def act(hub: Hub) -> None:
        async with AsyncExitStack() as stack:
            listeners = [await stack.enter_async_context(hub.listening([each])) for each in ids]
            await asyncio.gather(*map(until, listeners, ids, ["pending"] * LISTENERS))
            if has_streams:
                await stream_tells_of(listeners[0], repository, ids[0])
            for each in ids:
                await asyncio.to_thread(repository.cancel, each)
            await asyncio.gather(*map(until, listeners, ids, ["cancelled"] * LISTENERS))
        assert source.open <= 1

    run(source, act)
    assert source.streams == 1
    assert source.questions < LISTENERS
    assert source.open == 0


def test_what_the_stream_did_not_tell_is_seen_all_the_same(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream breaks, and is opened again; what happened between is looked at."""
    monkeypatch.setattr(hubs, "LOOK_SECONDS", 0.2)
    insert(repository, "ctx_1")

    class Silent(Counted):
        def watch_changes(self, on_change: Callable[[Any], None], ends: Callable[[], bool]) -> bool:
            self.streams += 1
            return True  # it broke at once

    async def act(hub: Hub) -> None:
        async with hub.listening(["ctx_1"]) as listener:
            await until(listener, "ctx_1", "pending")
            await asyncio.to_thread(repository.cancel, "ctx_1")
            await until(listener, "ctx_1", "cancelled")

    run(Silent(repository), act)


def test_closing_wakes_everybody(repository: MongoContextRepository) -> None:
    """Nobody holds up the end of the process."""
    insert(repository, "ctx_1")

    async def act(hub: Hub) -> None:
        async with hub.listening(["ctx_1"]) as listener:
            await until(listener, "ctx_1", "pending")
            hub.close()
            assert await listener.wait(SOON)
            assert hub.closing

    run(Counted(repository), act)


def test_there_is_an_end_to_listeners(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is told so; one who goes makes room."""
    monkeypatch.setattr(hubs, "MOST_LISTENERS", 1)

    async def act(hub: Hub) -> None:
        async with hub.listening(["a"]):
            with pytest.raises(Problem):
                async with hub.listening(["b"]):
                    pass
        async with hub.listening(["c"]):
            pass

    run(Counted(repository), act)
