"""The connection: what the URI may decide, what it may not, and what is said when it is wrong."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bson
import bson.errors
import pymongo.errors
import pytest
from bson import DatetimeMS, ObjectId
from pydantic import SecretStr
from pymongo import MongoClient

from agent.errors import (
    AlreadyStored,
    ConfigurationError,
    NotStorable,
    StoreError,
    StoreUnavailable,
)
from agent.models import Document
from agent.settings import Settings
from agent.store.connection import (
    CODEC,
    MAX_DOCUMENT_BYTES,
    check_storable,
    connect,
    database_of,
    encoded_size,
    translated,
)

HUSH = "hush-hush"
DURABLE = {"w": "majority", "j": True}


@contextmanager
def connected(uri: str) -> Iterator[tuple[MongoClient[Document], Settings]]:
    """A client of this URI, which no server need answer."""
    settings = Settings(mongodb_uri=SecretStr(uri))
    with connect(settings) as client:
        yield client, settings


def test_nothing_is_asked_of_a_server_before_the_first_operation() -> None:
    """A client may be made before a fork, and where no server is."""
    with connected("mongodb://h.invalid/?replicaSet=x") as (client, settings):
        database_of(client, settings)
        assert not client._opened


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://h/",
        "mongodb://h/?w=0",
        "mongodb://h/?w=1&journal=false&retryWrites=false",
        "mongodb://h/?readPreference=secondary&readConcernLevel=available",
        "mongodb://h/?uuidRepresentation=javaLegacy&tz_aware=false",
    ],
)
def test_writes_are_durable_and_reads_are_primary_whatever_the_uri_says(uri: str) -> None:
    """Fencing rests on it: an acknowledged claim is never rolled back."""
    with connected(uri) as (client, settings):
        database = database_of(client, settings)
        for part in (client, database, database["contexts"]):
            assert part.write_concern.document == DURABLE
            assert part.read_preference.mongos_mode == "primary"
            assert part.codec_options.uuid_representation == 4
            assert part.codec_options.tz_aware
        assert database.read_concern.document == {"level": "local"}
        assert client.options.retry_writes


@pytest.mark.parametrize(
    ("uri", "named", "expected"),
    [
        ("mongodb://h", None, "agent"),
        ("mongodb://h/?replicaSet=x", None, "agent"),
        ("mongodb://h/theirs?replicaSet=x", None, "theirs"),
        ("mongodb://h/theirs", "ours", "ours"),
        ("mongodb://h/a%2Db", None, "a-b"),
        ("mongodb+srv://cluster.example/theirs?w=1", None, "theirs"),
        ("mongodb://h/?wtimeoutMS=soon", None, "agent"),
    ],
)
@pytest.mark.filterwarnings("ignore:The value of wtimeoutms")
def test_the_database_is_named_by_the_settings_then_by_the_uri(
    uri: str, named: str | None, expected: str
) -> None:
    """And else it is `agent`; no server and no DNS is asked for it."""
    settings = Settings(mongodb_uri=SecretStr(uri), mongodb_database=named)
    with connect(settings) as client:
        assert database_of(client, settings).name == expected


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://u:{HUSH}@h:port/",
        f"mongodb://u:{HUSH}@x@h/",
        f"mongodb://u:{HUSH}/x@h/",
        f"mongodb://u:{HUSH}",
        f"mongodb://u:{HUSH}%@h/",
        "mongodb://",
        "mongodb://h/?replicaSet",
        "mongodb+srv://h:27017",
    ],
)
def test_a_wrong_uri_is_told_in_one_line_without_its_password(uri: str) -> None:
    """With its variable, and how one is written."""
    with pytest.raises(ConfigurationError, match=r"^MONGODB_URI: .*; write mongodb://") as caught:
        connect(Settings(mongodb_uri=SecretStr(uri)))
    assert "\n" not in str(caught.value)
    assert HUSH not in "".join(traceback.format_exception(caught.value, limit=0))


@pytest.mark.parametrize("name", ["", "a b", "a.b", "$x", "a/b", 'a"b', "x" * 64])
def test_a_database_that_cannot_be_is_told_with_its_variable(name: str) -> None:
    """At start, and not with the first write."""
    settings = Settings(mongodb_database=name)
    with (
        connect(settings) as client,
        pytest.raises(ConfigurationError, match=r"^MONGODB_DATABASE: .*; use ") as caught,
    ):
        database_of(client, settings)
    assert "\n" not in str(caught.value)


ERRORS: dict[type[StoreError], list[Exception]] = {
    StoreUnavailable: [
        pymongo.errors.ServerSelectionTimeoutError("no primary"),
        pymongo.errors.AutoReconnect("gone"),
        pymongo.errors.NotPrimaryError("stepped down"),
        pymongo.errors.NetworkTimeout("slow"),
        pymongo.errors.ExecutionTimeout("slow", 50),
        pymongo.errors.OperationFailure("not authorized", 13),
        pymongo.errors.WriteError("interrupted", 11601),
        pymongo.errors.BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]}),
    ],
    NotStorable: [
        pymongo.errors.DocumentTooLarge("17 MB"),
        pymongo.errors.WriteError("too large", 17419),
        pymongo.errors.BulkWriteError(
            {"writeErrors": [{"index": 0, "code": 17419, "errmsg": "too large"}]}
        ),
        bson.errors.InvalidDocument("a set"),
        OverflowError("65 bits"),
        RecursionError("deep"),
    ],
    AlreadyStored: [
        pymongo.errors.DuplicateKeyError("E11000", 11000),
        pymongo.errors.BulkWriteError(
            {"writeErrors": [{"index": 0, "code": 11000, "errmsg": "E11000"}]}
        ),
    ],
    StoreError: [pymongo.errors.InvalidOperation("closed")],
}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(ours, error) for ours, errors in ERRORS.items() for error in errors],
    ids=[
        f"{type(error).__name__}-{ours.__name__}" for ours, all in ERRORS.items() for error in all
    ],
)
def test_an_error_of_the_driver_becomes_one_of_ours(
    ours: type[StoreError], theirs: Exception
) -> None:
    """Which says whether another try can help, and keeps its cause."""
    with pytest.raises(StoreError) as caught, translated():
        raise theirs
    assert type(caught.value) is ours
    assert caught.value.__cause__ is theirs


def test_any_other_error_passes() -> None:
    """A bug is no outage."""
    with pytest.raises(KeyError), translated():
        raise KeyError("x")


@pytest.mark.parametrize(
    "value",
    [2**63, "\ud800", {"a\0b": 1}, {1: 2}, {1, 2}, object()],
    ids=["65 bits", "half a character", "NUL in a key", "key that is no text", "set", "object"],
)
def test_what_bson_does_not_have_is_refused_before_it_is_sent(value: Any) -> None:
    """Alone, before it joins a batch of others."""
    with pytest.raises(NotStorable):
        check_storable({"results": value})


def test_what_is_too_large_for_a_document_is_refused_before_it_is_sent() -> None:
    """With room left for what else a document holds."""
    check_storable({"results": "x" * (MAX_DOCUMENT_BYTES - 2**20)})
    with pytest.raises(NotStorable, match="bytes of BSON"):
        check_storable({"results": "x" * (MAX_DOCUMENT_BYTES - 1000)})


def test_a_date_beyond_what_python_has_is_read_all_the_same() -> None:
    """One of them, in another program's document, must not fail the read of all."""
    sent = {"_id": 1, "value": DatetimeMS(2**60)}
    assert bson.decode(bson.encode(sent), codec_options=CODEC) == sent


def test_a_size_is_that_of_the_bytes_on_the_wire() -> None:
    """Not of a text that stands for them."""
    assert encoded_size({"_id": ObjectId()}) == 22
