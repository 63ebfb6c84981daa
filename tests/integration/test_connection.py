"""The connection to a real server: its clock, its values, its absence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from bson import ObjectId
from pydantic import SecretStr
from pymongo.database import Database

from agent.embedded.ports import free_port
from agent.errors import AlreadyStored, NotStorable, StoreUnavailable
from agent.models import Document
from agent.settings import Settings
from agent.store import connection
from agent.store.clock import ServerClock
from agent.store.connection import connect, translated
from agent.store.indexes import INDEXES, create_indexes
from tests.waiting import wait_until


def test_the_clock_is_learned_from_the_server(settings: Settings) -> None:
    """At the first question; it is the server's own `localTime`, in UTC."""
    clock = ServerClock()
    with connect(settings, clock) as client:
        clock.learn(client)
        told = client.admin.command("hello")["localTime"].replace(tzinfo=UTC)  # comes naive
        assert abs(clock.now() - told) < timedelta(seconds=1)
        assert clock.now().tzinfo is UTC


def test_the_clock_keeps_up_without_being_asked(settings: Settings) -> None:
    """The driver's monitor says `hello` anyway."""
    clock = ServerClock()
    with connect(settings, clock) as client:
        client.admin.command("ping")
        wait_until(lambda: clock.is_known)


def test_a_server_that_is_away_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that another try, later, may mend."""
    monkeypatch.setattr(connection, "SERVER_SELECTION_MS", 100)
    away = Settings(mongodb_uri=SecretStr(f"mongodb://127.0.0.1:{free_port()}"))
    with connect(away) as client, pytest.raises(StoreUnavailable) as caught:
        ServerClock().learn(client)
    assert caught.value.retryable


@pytest.mark.parametrize(
    "value",
    [
        UUID("12345678-1234-5678-1234-567812345678"),
        datetime(2025, 3, 1, 12, 0, 0, 123000, tzinfo=UTC),
        ObjectId(),
        b"\x00\xff",
        {"$set": {"a.b": 1}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_as_it_was(database: Database[Document], value: Any) -> None:
    """In type and value; words that look like operators included."""
    database.values.insert_one({"_id": 1, "value": value})
    assert database.values.find_one() == {"_id": 1, "value": value}


def test_a_second_document_of_an_id_is_told_as_such(database: Database[Document]) -> None:
    """The caller may have been the first one, before a network error."""
    database.values.insert_one({"_id": 1})
    with pytest.raises(AlreadyStored), translated():
        database.values.insert_one({"_id": 1})


def test_a_document_that_is_too_large_is_told_as_such(database: Database[Document]) -> None:
    """It would be too large the next time as well."""
    with pytest.raises(NotStorable), translated():
        database.values.insert_one({"_id": 1, "value": "x" * (17 * 1024 * 1024)})


def test_indexes_may_be_created_again_and_again(database: Database[Document]) -> None:
    """Every deploy does; each is there afterwards."""
    assert create_indexes(database) == create_indexes(database)
    for index in INDEXES:
        assert index.name in database[index.collection].index_information()
