"""Contexts that are followed: by the change stream of a real server, and by looking."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bson import ObjectId

from agent.cli import following
from agent.cli.following import Following, Told
from agent.errors import AgentError, ContextNotFound, StoreUnavailable
from agent.models import Document, Status
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context
from tests.faults.proxy import Proxy
from tests.waiting import wait_until

SOON = 30.0
END = "end"
"""The id of the context that ends following all of them."""


class WithoutStreams:
    """The repository on a server that has no change streams."""

    def __init__(self, repository: MongoContextRepository) -> None:
        self.states_of = repository.states_of

    def watch_changes(self, on_change: Callable[[Any], None], ends: Callable[[], bool]) -> bool:
        return False


class Heard(threading.Thread):
    """Who hears what is told, in a thread of its own, until it ends."""

    def __init__(self, changes: Iterator[Told]) -> None:
        super().__init__(daemon=True)
        self._changes = changes
        self.answers: list[Document] = []
        self.error: AgentError | None = None

    def run(self) -> None:
        try:
            for told in self._changes:
                if told.state["_id"] == END:
                    return
                self.answers.append(told.answer)
        except AgentError as exc:
            self.error = exc

    @property
    def said(self) -> list[tuple[Any, str]]:
        return [(each["key"] or each["id"], each["status"]) for each in self.answers]


@contextmanager
def heard(changes: Iterator[Told]) -> Iterator[Heard]:
    """Hear it; by the end of the block it has to end by itself."""
    thread = Heard(changes)
    thread.start()
    yield thread
    thread.join(SOON)
    assert not thread.is_alive()


def change(repository: MongoContextRepository, context_id: Any, **fields: Any) -> None:
    """What some worker writes."""
    repository.contexts.update_one({"_id": context_id}, {"$set": fields})


@pytest.fixture(params=[True, False], ids=["stream", "polling"])
def followed(
    request: pytest.FixtureRequest,
    repository: MongoContextRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> Following:
    """Both ways to learn of changes, in a hurry."""
    monkeypatch.setattr(following, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.3)
    return Following(repository, None if request.param else WithoutStreams(repository))


def a_family(repository: MongoContextRepository) -> None:
    """A request of two steps, neither of which has begun."""
    steps: list[Document] = [
        a_context(_id=f"whole_{key}", parent_id="whole", step=key, status=status)
        for key, status in (("draft", "pending"), ("send", "waiting"))
    ]
    whole = a_context(
        _id="whole", kind="parent", service_type="REQUEST", status="processing",
        steps=["draft", "send"],
    )  # fmt: skip
    repository.contexts.insert_many([whole, *steps])


def test_a_request_is_told_with_its_steps_until_it_is_final(
    repository: MongoContextRepository, followed: Following
) -> None:
    """First what they are, then each change; the steps by their keys, the whole by its id."""
    a_family(repository)
    with heard(followed.one("whole")) as all_:
        wait_until(lambda: len(all_.said) == 3, SOON)
        assert sorted(all_.said) == [
            ("draft", "pending"), ("send", "waiting"), ("whole", "processing"),
        ]  # fmt: skip
        change(repository, "whole_draft", status="completed")
        wait_until(lambda: all_.said[3:] == [("draft", "completed")], SOON)
        change(repository, "whole_send", status="failed", error={"type": "X", "message": "no"})
        change(repository, "whole", status="failed")
    assert all_.said[4:] == [("send", "failed"), ("whole", "failed")]
    assert all_.answers[4]["error"] == {"type": "X", "message": "no"}


def test_one_that_is_final_is_told_once(
    repository: MongoContextRepository, followed: Following
) -> None:
    """Whatever its id is."""
    context_id = ObjectId()
    repository.contexts.insert_one(a_context(_id=context_id, status="completed"))
    with heard(followed.one(context_id)) as all_:
        pass
    assert [(each["id"], each["status"]) for each in all_.answers] == [
        ({"$oid": str(context_id)}, "completed")
    ]


def test_one_that_is_deleted_is_followed_no_more(
    repository: MongoContextRepository, followed: Following
) -> None:
    """Nobody waits for ever for what will never be."""
    repository.contexts.insert_one(a_context(_id="ctx_1"))
    with heard(followed.one("ctx_1")) as all_:
        wait_until(lambda: all_.said, SOON)
        repository.contexts.delete_one({"_id": "ctx_1"})
    assert isinstance(all_.error, ContextNotFound)


def test_the_stream_tells_without_a_look(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server has one nobody has to wait for the next look."""
    monkeypatch.setattr(following, "LOOK_SECONDS", 1000.0)
    repository.contexts.insert_one(a_context(_id="ctx_1"))
    attempts = iter(range(1, 1000))
    with heard(Following(repository).one("ctx_1")) as all_:

        def is_told() -> bool:
            change(repository, "ctx_1", attempt=next(attempts))
            return len(all_.said) > 1

        wait_until(is_told, SOON, interval=0.1)
        change(repository, "ctx_1", status="completed")
    assert all_.said[-1] == ("ctx_1", "completed")


def test_of_all_contexts_only_changes_are_told(
    repository: MongoContextRepository, followed: Following
) -> None:
    """Not what was before; and each of what comes."""
    repository.contexts.insert_many([a_context(_id="old"), a_context(_id="done", status="failed")])
    with heard(followed.all()) as all_:
        fresh = iter(range(1000))

        def begun() -> bool:
            repository.contexts.insert_one(a_context(_id=f"new {next(fresh)}"))
            return bool(all_.said)

        wait_until(begun, SOON, interval=0.2)
        change(repository, "old", status="completed")
        wait_until(lambda: ("old", "completed") in all_.said, SOON)
        repository.contexts.insert_one(a_context(_id=END))
    told = {which for which, _ in all_.said}
    assert "done" not in told
    assert ("old", "pending") not in all_.said
    assert len(all_.said) == len(set(all_.said))


def test_of_all_contexts_some_may_be_chosen(
    repository: MongoContextRepository, followed: Following
) -> None:
    """By service and by status."""
    with heard(followed.all(service_type="ANALYSIS", status=Status.FAILED)) as all_:
        fresh = iter(range(1000))

        def begun() -> bool:
            number = next(fresh)
            repository.contexts.insert_many(
                [
                    a_context(_id=f"right {number}", service_type="ANALYSIS", status="failed"),
                    a_context(_id=f"other {number}", status="failed"),
                    a_context(_id=f"open {number}", service_type="ANALYSIS"),
                ]
            )
            return len(all_.said) > 1

        wait_until(begun, SOON, interval=0.2)
        end = a_context(_id=END, service_type="ANALYSIS", status="failed")
        repository.contexts.insert_one(end)
    assert {which.split()[0] for which, _ in all_.said} == {"right"}


def test_an_outage_is_told_once_and_outlived(
    repository: MongoContextRepository,
    distant: MongoContextRepository,
    network: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What changed meanwhile is told once MongoDB is back."""
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.1)
    repository.contexts.insert_one(a_context(_id="ctx_1"))
    outages: list[StoreUnavailable] = []
    follower = Following(distant, on_outage=outages.append)
    with heard(follower.one("ctx_1")) as all_:
        wait_until(lambda: all_.said, SOON)
        network.cut()
        wait_until(lambda: outages, SOON)
        change(repository, "ctx_1", status="completed")
        network.mend()
    assert (all_.said[-1], all_.error, len(outages)) == (("ctx_1", "completed"), None, 1)
