"""The connection to MongoDB: durable, primary only, and with errors of our own.

The only module that knows pymongo's exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import bson
import bson.errors
import pymongo.errors
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient, ReadPreference, WriteConcern, uri_parser
from pymongo.database import Database
from pymongo.monitoring import ServerHeartbeatListener
from pymongo.read_concern import ReadConcern

from agent.errors import ConfigurationError, NotStorable, StoreError, StoreUnavailable
from agent.models import Document
from agent.settings import Settings

SERVER_SELECTION_MS = 5000
SOCKET_MS = 20000
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
ROOM_FOR_THE_REST = 256 * 1024
"""What a document may hold beside its results: the wire's own bytes, attempts, dates."""

CODEC: CodecOptions[Document] = CodecOptions(
    tz_aware=True,
    uuid_representation=4,  # "standard"
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
"""Dates beyond what Python has come back as `DatetimeMS` instead of failing the whole read."""

REFUSED_DOCUMENT_CODES = frozenset({2, 9, 15, 52, 55, 56, 57, 10334, 17280, 17419, 17420, 22})
"""Server codes that say: this document, not this server, is the trouble."""


def connect(settings: Settings, *listeners: ServerHeartbeatListener) -> MongoClient[Document]:
    """A client with `w: majority, j: true` and primary reads, whatever the URI says.

    Nothing is connected yet: the driver does so at the first operation.

    Raises:
        ConfigurationError: the URI cannot be read.
    """
    try:
        return MongoClient(
            settings.mongodb_uri.get_secret_value(),
            w="majority",
            journal=True,
            retryWrites=True,
            readPreference="primary",
            readConcernLevel="local",
            uuidRepresentation="standard",
            tz_aware=True,
            appname="agent",
            serverSelectionTimeoutMS=SERVER_SELECTION_MS,
            connectTimeoutMS=SERVER_SELECTION_MS,
            socketTimeoutMS=SOCKET_MS,
            maxPoolSize=32,
            event_listeners=list(listeners),
        )
    except (pymongo.errors.ConfigurationError, pymongo.errors.InvalidURI, ValueError) as exc:
        raise ConfigurationError(
            f"MONGODB_URI: {exc}; write mongodb://host:27017/?replicaSet=name"
        ) from None


def database_of(client: MongoClient[Document], settings: Settings) -> Database[Document]:
    """The database of the settings, else of the URI, else `agent`."""
    name = settings.mongodb_database or _database_in(settings) or "agent"
    return client.get_database(
        name,
        codec_options=CODEC,
        read_preference=ReadPreference.PRIMARY,
        write_concern=WriteConcern("majority", j=True),
        read_concern=ReadConcern("local"),
    )


def _database_in(settings: Settings) -> str | None:
    uri = settings.mongodb_uri.get_secret_value()
    if uri.startswith("mongodb+srv://"):  # parsing would ask the DNS
        name = uri.split("://", 1)[1].partition("/")[2].partition("?")[0]
        return unquote(name) or None
    found: str | None = uri_parser.parse_uri(uri).get("database")
    return found


@contextmanager
def translated() -> Iterator[None]:
    """Turn what pymongo raises into errors of ours.

    Raises:
        NotStorable: the document itself is refused.
        StoreUnavailable: anything that another try, later, may mend.
    """
    try:
        yield
    except (
        pymongo.errors.DocumentTooLarge,
        bson.errors.InvalidDocument,
        bson.errors.InvalidBSON,
        OverflowError,
        UnicodeEncodeError,
        RecursionError,
    ) as exc:
        raise NotStorable(_plain(exc)) from exc
    except pymongo.errors.WriteError as exc:
        if exc.code in REFUSED_DOCUMENT_CODES:
            raise NotStorable(_plain(exc)) from exc
        raise StoreUnavailable(_plain(exc)) from exc
    except pymongo.errors.InvalidOperation as exc:
        raise StoreError(_plain(exc)) from exc
    except pymongo.errors.PyMongoError as exc:
        raise StoreUnavailable(_plain(exc)) from exc


def encoded_size(value: Document) -> int:
    """The bytes of a document.

    Raises:
        NotStorable: BSON cannot hold it.
    """
    with translated():
        return len(bson.encode(value, codec_options=CODEC))


def check_storable(value: Document) -> None:
    """Refuse what MongoDB would refuse, before it joins a batch of others.

    Raises:
        NotStorable: too large, or a value that BSON does not have.
    """
    size = encoded_size(value)
    if size > MAX_DOCUMENT_BYTES - ROOM_FOR_THE_REST:
        raise NotStorable(f"{size} bytes of BSON; a document holds {MAX_DOCUMENT_BYTES}")


def _plain(exc: Any) -> str:
    text = str(exc).partition(", Timeout:")[0].partition(", full error")[0]
    return text[:300]
