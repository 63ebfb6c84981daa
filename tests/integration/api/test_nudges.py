"""Open pages: one look for all of them, each told in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.api import nudges as module
from agent.api.nudges import Nudges
from agent.errors import StoreUnavailable
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context
from tests.waiting import wait_until

SOON = 10.0


class Counted:
    """The repository, with a count of how often it is asked for a change."""

    def __init__(self, repository: MongoContextRepository, *, has_streams: bool = True) -> None:
        self._repository = repository
        self._has_streams = has_streams
        self.asked = 0
        self.open = 0
        self.fails = False

    def wait_for_change(self, on_open: Callable[[], None], ends: Callable[[], bool]) -> bool | None:
        self.asked += 1
        if self.fails:
            raise StoreUnavailable("away")
        if not self._has_streams:
            return None
        self.open += 1
        try:
            return self._repository.wait_for_change(on_open, ends)
        finally:
            self.open -= 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for on purpose is not long."""
    for name in ("GAP_SECONDS", "POLL_SECONDS", "AWAY_SECONDS", "PACE_SECONDS"):
        monkeypatch.setattr(module, name, 0.05)


def run(source: Counted, act: Callable[[Nudges], Awaitable[None]]) -> None:
    async def within() -> None:
        nudges = Nudges(source)
        async with nudges.running():
            await act(nudges)

    asyncio.run(asyncio.wait_for(within(), 3 * SOON))


async def until(predicate: Callable[[], bool]) -> None:
    """The same as `wait_until`, on the event loop."""
    await asyncio.to_thread(wait_until, predicate, SOON)


def insert(repository: MongoContextRepository, count: int = 1) -> None:
    repository.insert_contexts([a_context() for _ in range(count)])


@pytest.mark.usefixtures("quick")
def test_all_open_pages_are_told_of_a_change_by_one_look(
    repository: MongoContextRepository,
) -> None:
    """What was kept for them is forgotten first."""
    source, forgot = Counted(repository), []

    async def act(nudges: Nudges) -> None:
        nudges.before_telling(lambda: forgot.append(nudges.turn))
        async with nudges.listening("ann", 0) as one, nudges.listening("ann", 0) as other:
            assert await one.wait(SOON)  # the stream is open
            assert await other.wait(SOON)
            await asyncio.to_thread(insert, repository)
            assert await one.wait(SOON)
            assert await other.wait(SOON)
            assert source.open <= 1
            assert forgot == list(range(1, nudges.turn + 1))

    run(source, act)


def test_however_much_changes_it_looks_once_a_second(repository: MongoContextRepository) -> None:
    """A thousand changes cost as little as one."""
    source = Counted(repository)

    async def act(nudges: Nudges) -> None:
        async with nudges.listening("ann", 0) as listener:
            assert await listener.wait(SOON)
            began = asyncio.get_running_loop().time()
            for _ in range(100):
                await asyncio.to_thread(insert, repository, 10)
            seconds = asyncio.get_running_loop().time() - began
            assert source.asked <= 2 + seconds / module.GAP_SECONDS

    run(source, act)


@pytest.mark.usefixtures("quick")
def test_a_page_that_was_made_before_the_last_change_is_told_at_once(
    repository: MongoContextRepository,
) -> None:
    """What came between its making and its stream is not lost."""

    async def act(nudges: Nudges) -> None:
        async with nudges.listening("ann", 0) as first:
            assert await first.wait(SOON)
            before = nudges.turn
            await asyncio.to_thread(insert, repository)
            while nudges.turn == before:
                assert await first.wait(SOON)
            async with nudges.listening("ann", before) as late:
                assert await late.wait(0)

    run(Counted(repository), act)


@pytest.mark.usefixtures("quick")
def test_without_change_streams_pages_are_told_every_so_often(
    repository: MongoContextRepository,
) -> None:
    """They look for themselves."""

    async def act(nudges: Nudges) -> None:
        async with nudges.listening("ann", 0) as listener:
            for _ in range(3):
                assert await listener.wait(SOON)

    run(Counted(repository, has_streams=False), act)


@pytest.mark.usefixtures("quick")
def test_a_mongodb_that_was_away_is_listened_to_again(repository: MongoContextRepository) -> None:
    """And pages are told, for something may have changed."""
    source = Counted(repository)
    source.fails = True

    async def act(nudges: Nudges) -> None:
        async with nudges.listening("ann", 0) as listener:
            assert not await listener.wait(0.3)
            assert source.asked > 1
            source.fails = False
            assert await listener.wait(SOON)

    run(source, act)


@pytest.mark.usefixtures("quick")
def test_nobody_looks_when_no_page_is_open(repository: MongoContextRepository) -> None:
    """And at the end nobody is left waiting."""
    source = Counted(repository)

    async def act(nudges: Nudges) -> None:
        async with nudges.listening("ann", 0) as listener:
            assert await listener.wait(SOON)
        await until(lambda: not source.open)
        asked = source.asked
        async with nudges.listening("ann", nudges.turn) as listener:
            await until(lambda: source.asked > asked)
            nudges.close()
            await listener.wait(SOON)

    run(source, act)
    assert source.open == 0


@pytest.mark.usefixtures("quick")
def test_it_ends_at_once_though_mongodb_is_away(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for a turn, or for MongoDB, is woken."""
    monkeypatch.setattr(module, "AWAY_SECONDS", 1000.0)
    monkeypatch.setattr(module, "PACE_SECONDS", 1000.0)
    source = Counted(repository)
    source.fails = True

    async def act(nudges: Nudges) -> None:
        async with nudges.listening("ann", 0):
            await until(lambda: source.asked > 0)
            await nudges.pace()
            waiting = asyncio.create_task(nudges.pace())
            nudges.close()
            await asyncio.wait_for(waiting, SOON)

    run(source, act)


def test_a_page_that_leaves_takes_no_turn(repository: MongoContextRepository) -> None:
    """However often somebody opens and leaves one, those who stay are told."""

    async def act(nudges: Nudges) -> None:
        await nudges.pace()
        gone = [asyncio.create_task(nudges.pace()) for _ in range(200)]
        await asyncio.sleep(0)
        for each in gone:
            each.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        await asyncio.wait_for(nudges.pace(), SOON)

    run(Counted(repository), act)


def test_nobody_has_all_the_room(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One person only so many pages; all together no more than the process bears."""
    monkeypatch.setattr(module, "MOST_OF_ONE", 2)
    monkeypatch.setattr(module, "MOST_LISTENERS", 3)

    async def act(nudges: Nudges) -> None:
        async with nudges.listening("ann", 0), nudges.listening("ann", 0):
            assert not nudges.has_room_for("ann")
            assert nudges.has_room_for("bo")
            async with nudges.listening("bo", 0):
                assert not nudges.has_room_for("bo")

    run(Counted(repository), act)


def test_pages_are_told_one_after_the_other(repository: MongoContextRepository) -> None:
    """Fifty that are told at once would all ask at once."""

    async def act(nudges: Nudges) -> None:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(nudges.pace() for _ in range(9)))
        assert asyncio.get_running_loop().time() - began >= 8 * module.PACE_SECONDS * 0.99

    run(Counted(repository), act)
