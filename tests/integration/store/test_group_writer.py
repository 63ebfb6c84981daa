"""Group commit on a real server: one write of many stands and falls alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from bson import Binary
from pymongo.monitoring import CommandListener, CommandStartedEvent

from agent.errors import NotStorable, StoreUnavailable
from agent.models import AttemptRecord, Claim, Document
from agent.store import changes
from agent.store.changes import Hold, Write
from agent.store.group_writer import GroupWriter
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context, a_lease
from tests.faults.proxy import Proxy
from tests.waiting import wait_until

LEASE = timedelta(seconds=30)
MANY = 24
T = TypeVar("T")


@pytest.fixture
def writer(repository: MongoContextRepository) -> Iterator[GroupWriter]:
    writer = GroupWriter(repository)
    yield writer
    writer.close()


def insert(repository: MongoContextRepository, count: int, **fields: Any) -> None:
    """`ctx_0` and so on, each held by a token of its own."""
    repository.contexts.insert_many(
        a_context(**{"_id": f"ctx_{n}", "fence": 3,
                     "lease": a_lease(claim_id=f"claim_{n}", token=f"token_{n}"), **fields})
        for n in range(count)
    )  # fmt: skip


def hold_of(number: int) -> Hold:
    return Hold(f"ctx_{number}", 3, f"token_{number}")


def completion(
    repository: MongoContextRepository, number: int, results: Any = "done", fence: int = 3
) -> tuple[Write, Hold]:
    hold = hold_of(number)._replace(fence=fence)
    attempt = AttemptRecord(number=1, outcome="completed", token=hold.token)
    return changes.complete(repository.now(), hold, results=results, attempt=attempt), hold


def at_once(task: Callable[[int], T], count: int) -> list[Future[T]]:
    """The task of each number, each in a thread of its own, begun together."""
    together = threading.Barrier(count)

    def run(number: int) -> T:
        together.wait(10)
        return task(number)

    with ThreadPoolExecutor(count) as pool:
        return [pool.submit(run, number) for number in range(count)]


def statuses(repository: MongoContextRepository) -> dict[str, str]:
    return {each["_id"]: each["status"] for each in repository.contexts.find()}


def test_the_writes_of_many_threads_are_all_done(
    repository: MongoContextRepository, writer: GroupWriter
) -> None:
    """Each thread gets its own answer."""
    insert(repository, MANY, status="processing")
    finishes = at_once(lambda n: writer.finish(*completion(repository, n, {"n": n})), MANY)
    assert [each.result() for each in finishes] == [True] * MANY
    for number in range(MANY):
        assert repository.find_context(f"ctx_{number}")["results"] == {"n": number}


def test_the_starts_of_many_threads_give_each_its_document(
    repository: MongoContextRepository, writer: GroupWriter
) -> None:
    """And the stale ones among them nothing."""
    insert(repository, MANY, status="queued")

    def start(number: int) -> Document | None:
        fence = 2 if number % 5 == 0 else 3
        claim, token = Claim(f"ctx_{number}", fence, f"claim_{number}"), f"new_{number}"
        write = repository.start_write(claim, owner="w", token=token, lease=LEASE)
        return writer.start(write, claim, token)

    starts = at_once(start, MANY)
    for number, started in enumerate(starts):
        document = started.result()
        if number % 5 == 0:
            assert document is None
        else:
            assert document == repository.find_context(f"ctx_{number}")
            assert document["lease"]["token"] == f"new_{number}"


@pytest.mark.parametrize(
    "results",
    [
        {"value": 2**64},
        {"value": "\ud800"},
        {"key\0": 1},
        {"value": "x" * 16 * 1024 * 1024},
        {"value": object()},
    ],
    ids=["integer", "surrogate", "NUL in a key", "too large", "no BSON"],
)
def test_one_that_cannot_be_stored_fails_alone(
    repository: MongoContextRepository, writer: GroupWriter, results: Any
) -> None:
    """The others of its group are written."""
    insert(repository, 6, status="processing")
    given = {3: results}
    finishes = at_once(lambda n: writer.finish(*completion(repository, n, given.get(n))), 6)
    with pytest.raises(NotStorable):
        finishes[3].result()
    assert [each.result() for n, each in enumerate(finishes) if n != 3] == [True] * 5
    assert statuses(repository)["ctx_3"] == "processing"


def test_a_stale_one_among_good_ones_is_told_apart(
    repository: MongoContextRepository, writer: GroupWriter
) -> None:
    """The reply to a group is only a total, so on a short count each is looked at."""
    insert(repository, MANY, status="processing")
    stale = {3, 11, 12}
    finishes = at_once(
        lambda n: writer.finish(*completion(repository, n, fence=2 if n in stale else 3)), MANY
    )
    assert [each.result() for each in finishes] == [n not in stale for n in range(MANY)]
    assert {n for n in range(MANY) if statuses(repository)[f"ctx_{n}"] == "processing"} == stale


def test_a_document_that_cannot_be_decoded_fails_alone(
    repository: MongoContextRepository, writer: GroupWriter
) -> None:
    """It was started, but nobody can read it."""
    insert(repository, 6, status="queued")
    repository.contexts.update_one(
        {"_id": "ctx_2"}, {"$set": {"request.data.uuid": Binary(b"too short", 4)}}
    )

    def start(number: int) -> Document | None:
        claim, token = Claim(f"ctx_{number}", 3, f"claim_{number}"), f"new_{number}"
        write = repository.start_write(claim, owner="w", token=token, lease=LEASE)
        return writer.start(write, claim, token)

    starts = at_once(start, 6)
    with pytest.raises(NotStorable):
        starts[2].result()
    assert all(each.result() for n, each in enumerate(starts) if n != 2)


def test_an_outage_is_told_to_everyone_who_waits(
    repository: MongoContextRepository, distant: MongoContextRepository, network: Proxy
) -> None:
    """Whoever waits tries again; when the network is back the writes are done."""
    insert(repository, 6, status="processing")
    writer = GroupWriter(distant)
    network.cut()
    finishes = at_once(lambda n: writer.finish(*completion(repository, n)), 6)
    for finish in finishes:
        assert isinstance(finish.exception(), StoreUnavailable)
    network.mend()
    assert distant.wait_until_there()
    assert writer.finish(*completion(repository, 0)) is True
    writer.close()


def test_what_gathered_is_written_before_the_end(repository: MongoContextRepository) -> None:
    """And nothing is taken after it."""
    insert(repository, 6, status="processing")
    writer = GroupWriter(repository)
    finishes = at_once(lambda n: writer.finish(*completion(repository, n)), 5)
    writer.close()
    assert [each.result() for each in finishes] == [True] * 5
    with pytest.raises(StoreUnavailable):
        writer.finish(*completion(repository, 5))


class Updates(CommandListener):
    """Counts the write commands that are sent, and holds the first one until it may go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.first_is_sent = threading.Event()
        self.go_on = threading.Event()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "update":
            self.sizes.append(len(event.command["updates"]))
            self.first_is_sent.set()
            self.go_on.wait(10)

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


def test_what_gathers_during_one_write_goes_with_the_next(
    repository: MongoContextRepository, settings: Any
) -> None:
    """That is what it is for: one round trip for all of them."""
    from pymongo import MongoClient

    insert(repository, 9, status="processing")
    updates = Updates()
    uri = settings.mongodb_uri.get_secret_value()
    with MongoClient[Document](uri, event_listeners=[updates]) as client:
        store = MongoContextRepository(client, repository.clock, repository.settings)
        writer = GroupWriter(store)
        with ThreadPoolExecutor(9) as pool:
            first = pool.submit(writer.finish, *completion(repository, 0))
            assert updates.first_is_sent.wait(10)
            others = [pool.submit(writer.finish, *completion(repository, n)) for n in range(1, 9)]
            wait_until(lambda: len(writer._gathered) == 8)
            updates.go_on.set()
            assert [each.result() for each in (first, *others)] == [True] * 9
        writer.close()
    assert updates.sizes == [1, 8]
