"""The record of changes, on a real server: nothing is missed, and what may be is said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pymongo.database import Database

from agent.models import Document
from agent.settings import Settings
from agent.store.connection import connect, database_of
from agent.store.mongo_context_repository import MongoContextRepository
from tests.checker import ChangeEvent, Gap, Record, Recorder
from tests.checker.events import steps
from tests.factories import a_context, a_lease
from tests.faults.proxy import Proxy
from tests.servers import running_mongodb
from tests.waiting import wait_until

SECONDS = 30
"""For a change to be told, and for a server to be back."""


@pytest.fixture
def recorder(mongodb_uri: str, database: Database[Document]) -> Iterator[Recorder]:
    with Recorder(mongodb_uri, database.name) as recorder:
        yield recorder


def told(recorder: Recorder, count: int) -> Record:
    """The record, once it has so many entries."""
    wait_until(lambda: len(recorder.record().entries) >= count, SECONDS)
    return recorder.record()


def events(record: Record) -> list[ChangeEvent]:
    return [entry for entry in record.entries if isinstance(entry, ChangeEvent)]


def test_every_kind_of_write_is_told_in_order(
    recorder: Recorder, database: Database[Document]
) -> None:
    """With what it wrote, by the server's clock, and without what may be large."""
    contexts = database["contexts"]
    contexts.insert_one({"_id": 7, "status": "pending", "request": {"text": "Hello"}})
    lease = a_lease()
    contexts.update_many({"status": "pending"}, {"$set": {"status": "queued", "lease": lease}})
    contexts.update_one(
        {"_id": 7},
        {"$set": {"lease.token": "new", "results": {}, "other": 1}, "$inc": {"attempt": 1}},
    )
    contexts.update_one({"_id": 7}, {"$unset": {"lease": ""}})
    contexts.replace_one({"_id": 7}, {"status": "failed"})
    contexts.delete_one({"_id": 7})
    record = told(recorder, 6)
    found = events(record)
    assert record.is_whole
    assert [(each.operation, each.context_id, each.fields, each.removed) for each in found] == [
        ("insert", 7, {"_id": 7, "status": "pending"}, ()),
        ("update", 7, {"status": "queued", "lease": lease}, ()),
        ("update", 7, {"lease.token": "new", "attempt": 1}, ()),
        ("update", 7, {}, ("lease",)),
        ("replace", 7, {"_id": 7, "status": "failed"}, ()),
        ("delete", 7, {}, ()),
    ]
    assert [each.order for each in found] == sorted({each.order for each in found})
    assert [each.at for each in found] == sorted(each.at for each in found)
    assert [step.after.get("lease") for step in steps(found)] == [
        None, lease, {**lease, "token": "new"}, None, None, None,
    ]  # fmt: skip


def test_the_server_dates_what_it_tells(
    recorder: Recorder, settings: Settings, database: Database[Document]
) -> None:
    """By the clock that leases are counted by."""
    repository = MongoContextRepository.connect(settings)
    try:
        before = repository.now()
        database["contexts"].insert_one(a_context())
        after = repository.now()
    finally:
        repository.close()
    [event] = events(told(recorder, 1))
    second = timedelta(seconds=1)
    assert before - second <= event.at <= after + second


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_what_happens_while_it_cannot_look_is_told_later(
    mongodb_uri: str, database: Database[Document], fault: str
) -> None:
    """It goes on from where it was, and nothing is missing."""
    with (
        Proxy.before(mongodb_uri) as proxy,
        Recorder(proxy.through(mongodb_uri), database.name) as recorder,
    ):
        database["contexts"].insert_one({"_id": 1})
        told(recorder, 1)
        getattr(proxy, fault)()
        assert proxy.refused or proxy.stalled
        database["contexts"].insert_many([{"_id": number} for number in range(2, 50)])
        proxy.mend()
        record = told(recorder, 49)
    assert record.is_whole
    assert [event.context_id for event in events(record)] == list(range(1, 50))


def test_a_server_that_was_killed_goes_on_telling(tmp_path: Path) -> None:
    """Its disk keeps the stream, too; a first change is not even needed."""
    with running_mongodb(tmp_path, durable=True) as server:
        settings = Settings(mongodb_uri=server.url, mongodb_database="killed")
        with connect(settings) as client, Recorder(server.url, "killed") as recorder:
            contexts = database_of(client, settings)["contexts"]
            for number in range(3):
                server.kill()
                wait_until(lambda: not server.alive)
                server.start()
                contexts.insert_one({"_id": number})
            record = told(recorder, 3)
    assert record.is_whole
    assert [event.context_id for event in events(record)] == [0, 1, 2]


def test_a_place_that_the_server_does_not_know_is_a_gap(
    mongodb_uri: str, database: Database[Document]
) -> None:
    """And it goes on from now."""
    database["contexts"].insert_one({"_id": 1})
    with Recorder(mongodb_uri, database.name, after={"_data": "00"}) as recorder:
        told(recorder, 1)
        database["contexts"].insert_one({"_id": 2})
        record = told(recorder, 2)
    gap, event = record.entries
    assert isinstance(gap, Gap)
    assert isinstance(event, ChangeEvent)
    assert event.context_id == 2


def test_a_dropped_collection_is_a_gap(recorder: Recorder, database: Database[Document]) -> None:
    """The changes before it lead nowhere, those after it are recorded."""
    database["contexts"].insert_one({"_id": 1})
    database["contexts"].drop()
    wait_until(lambda: recorder.record().gaps, SECONDS)
    database["contexts"].insert_one({"_id": 2})
    wait_until(lambda: events(recorder.record())[-1].context_id == 2, SECONDS)
