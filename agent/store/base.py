"""What every part of the repository shares: the database, its clock, the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from agent.errors import NotStorable, StoreUnavailable
from agent.logs import get_logger
from agent.models import Document, context_key
from agent.settings import Settings
from agent.store.changes import Write
from agent.store.clock import ServerClock
from agent.store.connection import (
    database_of,
    is_refused,
    matched_beside,
    translated,
    write_errors,
)
from agent.store.raw import RAW, legible, plain
from agent.store.retention import Retention

LONGEST_QUERY_MS = 30_000
"""A read that takes longer than this on the server is ended there: nobody waits for it any more."""

log = get_logger()


class Store:
    """The database of the settings, seen through one client that threads share."""

    def __init__(
        self, client: MongoClient[Document], clock: ServerClock, settings: Settings
    ) -> None:
        self.client = client
        self.clock = clock
        self.settings = settings
        self.database: Database[Document] = database_of(client, settings)
        self.contexts: Collection[Document] = self.database["contexts"]
        self._raw_contexts: Collection[RawBSONDocument] = self.contexts.with_options(RAW)

    @cached_property
    def retention(self) -> Retention:
        """How long what is final is kept, by the settings.

        Raises:
            ConfigurationError: one of them is wrong.
        """
        return Retention.of(self.settings)

    def now(self) -> datetime:
        """The database's time, in UTC.

        Raises:
            StoreUnavailable: it is not known yet, and MongoDB does not answer.
        """
        if not self.clock.is_known:
            self.clock.learn(self.client)
        return self.clock.now()

    def _find(
        self,
        filter: Document,
        projection: Document | None = None,
        *,
        sort: list[tuple[str, int]] | None = None,
        limit: int = 0,
        hint: str | None = None,
        batch: int = 0,
    ) -> list[Document]:
        """The documents. `hint` names the index; where it is missing the server chooses. `batch` is
        how many come with one reply; else the first has 101 of them.

        One that cannot be decoded is an error only where whole ones are asked for.
        """
        try:
            with translated():
                cursor = self._raw_contexts.find(
                    filter, projection, sort=sort, limit=limit, batch_size=batch
                )
                cursor = cursor if hint is None else cursor.hint(hint)
                read = plain if projection is None else legible
                return [read(raw) for raw in cursor.max_time_ms(LONGEST_QUERY_MS)]
        except StoreUnavailable as exc:
            if hint is None or not is_refused(exc):
                raise
            return self._find(filter, projection, sort=sort, limit=limit, batch=batch)

    def _find_one(
        self, filter: Document, projection: Document | None = None, *, in_part: bool = False
    ) -> Document | None:
        with translated():
            raw = self._raw_contexts.find_one(filter, projection)
            read = plain if projection is None and not in_part else legible
            return None if raw is None else read(raw)

    @contextmanager
    def _at_one_moment(self) -> Iterator[ClientSession]:
        """All that is read in this session is as it was at one moment."""
        with translated(), self.client.start_session() as session:
            session.start_transaction(read_concern=ReadConcern("snapshot"))
            yield session  # it is aborted at its end: nothing is written in it

    def _aggregate(
        self,
        pipeline: list[Document],
        *,
        hint: str | None = None,
        session: ClientSession | None = None,
    ) -> list[Document]:
        """What the pipeline gives. `hint` as in `_find`."""
        options: dict[str, Any] = {} if hint is None else {"hint": hint}
        options |= {} if session is None else {"session": session}
        try:
            with translated():
                found = self._raw_contexts.aggregate(
                    pipeline, maxTimeMS=LONGEST_QUERY_MS, **options
                )
                return [legible(raw) for raw in found]
        except StoreUnavailable as exc:
            if hint is None or not is_refused(exc):
                raise
            return self._aggregate(pipeline)

    def _write(self, write: Write) -> bool:
        """Do one guarded write; whether its guard held."""
        with translated():
            return self.contexts.update_one(write.filter, write.update).matched_count == 1

    def _write_batch(self, writes: Sequence[Write]) -> tuple[int, int]:
        """Do guarded writes in one round trip: how many took place, and how many were refused."""
        if not writes:
            return 0, 0
        try:
            with translated():
                done = self.contexts.bulk_write(
                    [UpdateOne(write.filter, write.update) for write in writes], ordered=False
                )
            return done.matched_count, 0
        except NotStorable as exc:
            refused = write_errors(exc.__cause__)
            if refused:
                return matched_beside(exc.__cause__), len(refused)
            if len(writes) == 1:
                return 0, 1
        parts = [self._write_batch([write]) for write in writes]  # the driver refuses one of them
        return sum(part[0] for part in parts), sum(part[1] for part in parts)

    def _write_many(self, write: Write) -> int:
        """Do a guarded write of all these that match; how many there were."""
        try:
            with translated():
                return self.contexts.update_many(write.filter, write.update).modified_count
        except NotStorable:
            return self._write_each(write)

    def _write_each(self, write: Write) -> int:
        """The same one by one, as one that MongoDB refuses keeps back those behind it; how many."""
        done = 0
        for context_id in write.filter["_id"]["$in"]:
            try:
                done += self._write(write._replace(filter={**write.filter, "_id": context_id}))
            except NotStorable as exc:
                key = context_key(context_id)
                log.error("context.beyond_help", context_id=key, error=str(exc))
        return done


def ids_of(documents: Iterable[Document]) -> list[Any]:
    """Their `_id`s, in order."""
    return [document["_id"] for document in documents]
