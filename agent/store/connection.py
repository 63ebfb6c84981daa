"""The connection to MongoDB: durable, primary only, and with errors of our own.

The only module that knows pymongo's exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bson
import bson.errors
import pymongo.errors
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database
from pymongo.monitoring import CommandListener, ServerHeartbeatListener
from pymongo.read_concern import ReadConcern

from agent.errors import (
    AlreadyStored,
    ConfigurationError,
    NotStorable,
    StoreError,
    StoreUnavailable,
)
from agent.models import Document
from agent.settings import Settings

SERVER_SELECTION_MS = 5000
SOCKET_MS = 20000
LONGEST_DATABASE_NAME = 63
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
ROOM_FOR_THE_REST = 256 * 1024
"""What a document may hold beside its results: the wire's own bytes, attempts, dates."""

CODEC: CodecOptions[Document] = CodecOptions(
    tz_aware=True,
    uuid_representation=4,  # "standard"
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
"""Dates beyond what Python has come back as `DatetimeMS` instead of failing the whole read."""

REFUSED_DOCUMENT_CODES = frozenset(
    {2, 9, 14, 15, 22, 28, 52, 55, 56, 57, 10334, 17280, 17419, 17420}
)
"""Server codes that say: this document, not this server, is the trouble."""


DUPLICATE_KEY = 11000
UNSUPPORTED_CODES = frozenset({40573, 59, 115, 136, 235, 303, 40324})
"""Server codes that say: no change streams here (no replica set, no such stage)."""


def connect(
    settings: Settings, *listeners: ServerHeartbeatListener | CommandListener
) -> MongoClient[Document]:
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
            connect=False,
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
    """The database of the settings, else of the URI, else `agent`.

    Raises:
        ConfigurationError: MongoDB has no database of such a name.
    """
    options: dict[str, Any] = {
        "codec_options": CODEC,
        "read_preference": ReadPreference.PRIMARY,
        "write_concern": WriteConcern("majority", j=True),
        "read_concern": ReadConcern("local"),
    }
    name = settings.mongodb_database
    if name is None:
        return client.get_default_database("agent", **options)
    try:
        database: Database[Document] = client.get_database(name, **options)
    except pymongo.errors.InvalidName as exc:
        raise ConfigurationError(f"MONGODB_DATABASE: {exc}; use letters, digits, - and _") from None
    if len(name.encode()) > LONGEST_DATABASE_NAME:
        raise ConfigurationError(
            f"MONGODB_DATABASE: longer than {LONGEST_DATABASE_NAME} bytes; use a shorter name"
        )
    return database


@contextmanager
def translated() -> Iterator[None]:
    """Turn what pymongo raises into errors of ours.

    Raises:
        NotStorable: the document itself is refused.
        AlreadyStored: there is one of this id.
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
    except pymongo.errors.DuplicateKeyError as exc:
        raise AlreadyStored(_plain(exc)) from exc
    except pymongo.errors.BulkWriteError as exc:
        raise _of_many(exc) from exc
    except pymongo.errors.WriteError as exc:
        if exc.code in REFUSED_DOCUMENT_CODES:
            raise NotStorable(_plain(exc)) from exc
        raise StoreUnavailable(_plain(exc)) from exc
    except pymongo.errors.InvalidOperation as exc:
        raise StoreError(_plain(exc)) from exc
    except pymongo.errors.PyMongoError as exc:
        raise StoreUnavailable(_plain(exc)) from exc


def _of_many(exc: pymongo.errors.BulkWriteError) -> StoreError:
    """What a write of many came to: the first error of a single document, if there is one."""
    for code, message in write_errors(exc).values():
        return error_of(code, message)
    return StoreUnavailable(_plain(exc))


def write_errors(exc: BaseException | None) -> dict[int, tuple[int, str]]:
    """The code and text of each refused write of a bulk, by position; empty for other errors."""
    if not isinstance(exc, pymongo.errors.BulkWriteError):
        return {}
    errors = (exc.details or {}).get("writeErrors", [])
    return {error["index"]: (error.get("code", 0), error.get("errmsg", "")) for error in errors}


def matched_beside(exc: BaseException | None) -> int:
    """How many writes of a bulk found their document, where others of it were refused."""
    details = exc.details if isinstance(exc, pymongo.errors.BulkWriteError) else None
    return int((details or {}).get("nMatched", 0))


def error_of(code: int, message: str) -> StoreError:
    """Our error for a write that the server refused with this code."""
    if code == DUPLICATE_KEY:
        return AlreadyStored(message[:300])
    return (NotStorable if code in REFUSED_DOCUMENT_CODES else StoreUnavailable)(message[:300])


def is_refused(exc: StoreError) -> bool:
    """Whether the server answered, and said no."""
    return getattr(exc.__cause__, "code", None) is not None


def is_unsupported(exc: StoreError) -> bool:
    """Whether the server said that it does not have this at all."""
    return getattr(exc.__cause__, "code", None) in UNSUPPORTED_CODES


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
    text = str(exc)
    for rest in (", Timeout:", ", full error", " (configured timeouts"):
        text = text.partition(rest)[0]
    return text[:300]
