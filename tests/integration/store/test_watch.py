"""News of inserts, from the server's change stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.models import Document
from agent.store import watch
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context, foreign
from tests.faults.proxy import Proxy
from tests.waiting import wait_until


class Heard:
    """What a watcher was told, and whether it may go on."""

    def __init__(self) -> None:
        self.foreign: list[bool] = []
        self.enough = threading.Event()
        self.supported: bool | None = None


@contextmanager
def watching(repository: MongoContextRepository) -> Iterator[Heard]:
    """A thread that watches; it has begun, and ends with the test."""
    heard = Heard()

    def live() -> None:
        heard.supported = repository.watch_inserts(heard.foreign.append, heard.enough.is_set)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        wait_until(lambda: heard.foreign)
        yield heard
    finally:
        heard.enough.set()
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher notices within this time that it shall end."""
    monkeypatch.setattr(watch, "AWAIT_MS", 100)


def test_a_watcher_first_looks_at_everything(repository: MongoContextRepository) -> None:
    """Nobody watched before it."""
    with watching(repository) as heard:
        assert heard.foreign == [True]
    assert heard.supported is True


@pytest.mark.parametrize(("document", "is_foreign"), [(a_context(), False), (foreign(), True)])
def test_an_insert_is_heard_at_once(
    repository: MongoContextRepository, document: Document, is_foreign: bool
) -> None:
    """And whether the document is another program's."""
    with watching(repository) as heard:
        repository.contexts.insert_one(document)
        wait_until(lambda: len(heard.foreign) == 2)
    assert heard.foreign == [True, is_foreign]


def test_only_inserts_are_news(repository: MongoContextRepository) -> None:
    """Every change of a context would be told otherwise, ours as well."""
    repository.contexts.insert_one(a_context(_id="ctx_1"))
    with watching(repository) as heard:
        repository.cancel("ctx_1")
        repository.contexts.delete_one({"_id": "ctx_1"})
        repository.contexts.insert_one(foreign())
        wait_until(lambda: len(heard.foreign) == 2)


def test_a_stream_that_breaks_is_opened_again_by_who_watches(
    distant: MongoContextRepository, network: Proxy
) -> None:
    """It raises nothing: whoever watches looks by itself as well."""
    with watching(distant) as heard:
        network.cut()
        wait_until(lambda: heard.supported is not None, timeout=20)
    assert heard.supported is True
    network.mend()
    assert distant.wait_until_there()
    with watching(distant) as again:
        assert again.foreign == [True]
