"""Several that settle at once, and one that comes late: the rule of docs/spec/README.md."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from agent.duties.settle import Settle
from agent.models import Document
from agent.store.changes import Write
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.duties.requests import CHAIN, DIAMOND, LEASE, Requests
from tests.waiting import wait_until

ALL = "completed"


def late(
    requests: Requests, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None]
) -> None:
    """A settler that reads everything, and then stands still while others go on."""
    read = requests.repository.steps_of

    def steps_of(ids: Sequence[str]) -> list[Document]:
        monkeypatch.setattr(requests.repository, "steps_of", read)
        found = read(ids)
        meanwhile()
        return found

    monkeypatch.setattr(requests.repository, "steps_of", steps_of)
    Settle(requests.repository).run()


def test_what_was_counted_before_a_retry_is_not_written_after_it(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the request would stay failed for ever while its step completes."""
    parent_id = requests.create({"a": (), "b": ()})
    requests.finish(parent_id, "b")
    assert requests.end(requests.begin(parent_id, "a"), fails=True)

    def meanwhile() -> None:
        requests.repository.retry(f"{parent_id}_a")
        requests.settle.run()

    late(requests, monkeypatch, meanwhile)
    requests.run()
    assert requests.status(parent_id) == "processing"
    requests.finish(parent_id, "a")
    assert requests.status(parent_id) == ALL


def test_a_late_settler_does_not_open_what_is_rightly_final(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retry that it saw has failed again, and is counted."""
    parent_id = requests.create({"a": ()})
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry(f"{parent_id}_a")
    fences: list[int] = []

    def meanwhile() -> None:
        requests.finish(parent_id, "a", fails=True)
        assert requests.status(parent_id) == "failed"
        fences.append(requests.parent(parent_id)["fence"])

    late(requests, monkeypatch, meanwhile)
    parent = requests.parent(parent_id)
    assert (parent["status"], [parent["fence"]]) == ("failed", fences)


@pytest.mark.parametrize("taken", ["unsettled.reopens", "unsettled"])
def test_a_late_settler_does_not_take_away_a_later_mark(
    requests: Requests, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    """A second retry opens the request again, whoever is still at the first."""
    parent_id = requests.create({"a": ()})
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry(f"{parent_id}_a")
    write_each = requests.repository.write_each

    def slow(writes: Sequence[Write]) -> int:
        if any(write.update == {"$unset": {taken: ""}} for write in writes):
            monkeypatch.setattr(requests.repository, "write_each", write_each)
            requests.finish(parent_id, "a", fails=True)
            requests.repository.retry(f"{parent_id}_a")
        return write_each(writes)

    monkeypatch.setattr(requests.repository, "write_each", slow)
    Settle(requests.repository).run()
    requests.run()
    assert requests.status(parent_id) == "processing"


def test_a_step_that_came_to_wait_again_too_late_is_cancelled_again(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before it has failed once more meanwhile."""
    parent_id = requests.create(CHAIN)
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry(f"{parent_id}_a")
    requests.settle._settle(requests.repository.unsettled())  # its request is open again

    def meanwhile() -> None:
        requests.finish(parent_id, "a", fails=True)
        assert requests.status(parent_id) == "failed"

    late(requests, monkeypatch, meanwhile)
    requests.run()
    assert requests.statuses(parent_id) == {"a": "failed", "b": "cancelled", "c": "cancelled"}
    assert requests.status(parent_id) == "failed"


def test_a_step_that_was_cancelled_too_late_waits_again(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed one before it has been tried again meanwhile."""
    parent_id = requests.create(CHAIN)
    assert requests.end(requests.begin(parent_id, "a"), fails=True)

    def meanwhile() -> None:
        requests.repository.retry(f"{parent_id}_a")
        requests.run()

    late(requests, monkeypatch, meanwhile)
    requests.run()
    assert requests.statuses(parent_id) == {"a": "pending", "b": "waiting", "c": "waiting"}


@pytest.fixture
def other(repository: MongoContextRepository) -> Iterator[MongoContextRepository]:
    """The repository of another process."""
    found = MongoContextRepository.connect(repository.settings)
    yield found
    found.close()


def test_two_settlers_at_once_do_no_harm(requests: Requests, other: MongoContextRepository) -> None:
    """Each request ends once and truly, whoever comes first, and while steps are retried."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def settle(repository: MongoContextRepository) -> None:
        try:
            while not stop.is_set():
                Settle(repository).run()
        except BaseException as exc:
            errors.append(exc)

    repositories = (requests.repository, other)
    threads = [threading.Thread(target=settle, args=(each,)) for each in repositories]
    parents = [requests.create(DIAMOND) for _ in range(3)]
    with ExitStack() as stack:
        stack.callback(lambda: [thread.join() for thread in threads])
        stack.callback(stop.set)
        for thread in threads:
            thread.start()
        _carry_out(requests, parents)
    requests.run()
    assert errors == []
    for parent_id in parents:
        assert set(requests.statuses(parent_id).values()) == {ALL}
        assert requests.status(parent_id) == ALL


def _carry_out(requests: Requests, parents: list[str]) -> None:
    """Carry out what is pending, each step failing the first time, until all is completed."""
    repository = requests.repository
    failed: set[Any] = set()

    def all_done() -> bool:
        for claim in repository.claim("ANALYSIS", calls=100, lease=LEASE, owner="bridge:1"):
            fails = claim.context_id not in failed
            failed.add(claim.context_id)
            assert requests.end(requests.start(claim), fails=fails)
            if fails:
                repository.retry(claim.context_id)
        return all(requests.status(each) == ALL for each in parents)

    wait_until(all_done, timeout=60)
