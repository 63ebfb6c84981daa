"""Takes down every change of every context, as MongoDB tells them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, cast

from bson.errors import BSONError
from bson.int64 import Int64
from bson.timestamp import Timestamp
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError

from agent.models import Document
from agent.store.connection import CODEC
from tests.checker.events import ChangeEvent, Gap, Operation, Order, Record

TOLD = frozenset({
    "_id", "attempt", "available_at", "completed_at", "crashes", "deadline_at", "error", "failures",
    "fence", "generation", "key_generation", "lease", "max_attempts", "processed_by", "remote",
    "service_type", "snoozes", "started_at", "status", "updated_at", "wait_reason",
})  # fmt: skip
"""The fields that are kept of what is told."""
HIDDEN = ("template", "request", "results", "metadata", "tags", "adopted", "attempts")
"""The fields that the server does not send: they may be large."""

ENDINGS = frozenset({"drop", "dropDatabase", "invalidate", "rename"})
"""What ends a stream: the collection itself is gone."""

LIMITS = {"batchSize": 2000, "maxTimeMS": 100}
"""Of one question."""
SOCKET_MS = 10_000
SELECTION_MS = 2_000
START_SECONDS = 30.0
PAUSE_SECONDS = 0.2
REFUSALS = 3
"""So often the server may refuse to go on from where we were, before that is given up."""


class Recorder:
    """Follows the change stream of the contexts in a thread of its own, from before its start.

    While the server is away it tries again from the last change that it was told. Where it cannot
    go on from there, a `Gap` stands in the record.

    Args:
        database: the name of the one that has the contexts.
        after: the token of a stream, to go on from there.
    """

    def __init__(self, uri: str, database: str, after: Mapping[str, Any] | None = None) -> None:
        self._codec = CODEC.with_options(unicode_decode_error_handler="replace")
        self._client: MongoClient[Document] = MongoClient(
            uri,
            connect=False,
            serverSelectionTimeoutMS=SELECTION_MS,
            connectTimeoutMS=SELECTION_MS,
            socketTimeoutMS=SOCKET_MS,
            appname="recorder",
        )
        self._database = self._client.get_database(database, codec_options=self._codec)
        self._entries: list[ChangeEvent | Gap] = []
        self._token = after
        self._since: Timestamp | None = None
        self._refused: list[str] = []
        self._last: Order = (0, 0)
        self._following = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name="recorder", daemon=True)

    def __enter__(self) -> Self:
        """Return once nothing can be missed any more."""
        self._since = self._server_time()
        self._thread.start()
        assert self._following.wait(START_SECONDS), "the change stream of the contexts did not open"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join(2 * SOCKET_MS / 1000)
        self._client.close()

    def record(self) -> Record:
        """All that has been told so far."""
        return Record(tuple(self._entries))

    def _live(self) -> None:
        while not self._stopping.is_set():
            try:
                if len(self._refused) >= REFUSALS:
                    reason = f"it does not go on from where we were: {self._refused[-1]}"
                    self._begin_anew(self._server_time(), reason)
                self._follow()
            except (OperationFailure, BSONError, UnicodeError, OverflowError) as exc:
                self._refused.append(f"{type(exc).__name__}: {exc}"[:300])
            except PyMongoError:
                pass  # it is away: what it does meanwhile it tells later
            self._stopping.wait(PAUSE_SECONDS)

    def _follow(self) -> None:
        """A few large batches cost the server less than each change at once, as `watch` has it."""
        with self._client.start_session() as session:
            reply = self._ask(session, self._opening(), "firstBatch")
            self._following.set()
            while reply and not self._stopping.wait(PAUSE_SECONDS):
                more = {"getMore": reply, "collection": "contexts", **LIMITS}
                reply = self._ask(session, more, "nextBatch")

    def _opening(self) -> Document:
        stream: Document = {}
        if self._token is not None:
            stream["resumeAfter"] = self._token
        elif self._since is not None:
            stream["startAtOperationTime"] = self._since
        return {
            "aggregate": "contexts",
            "pipeline": [{"$changeStream": stream}, {"$project": _without(HIDDEN)}],
            "cursor": {"batchSize": LIMITS["batchSize"]},
            "readConcern": {"level": "majority"},
        }

    def _ask(self, session: ClientSession, command: Document, batch: str) -> Int64:
        """Take down what is told; the cursor to ask for more, 0 when there is no more."""
        reply = self._database.command(command, session=session, codec_options=self._codec)
        self._refused.clear()
        cursor = reply["cursor"]
        for change in cursor[batch]:
            self._token = change["_id"]
            if change["operationType"] in ENDINGS:
                ended = change["clusterTime"]
                since = Timestamp(ended.time, ended.inc + 1)
                self._begin_anew(since, f"it told of {change['operationType']}")
                return Int64(0)
            self._take(read_event(change))
        self._token = cursor.get("postBatchResumeToken") or self._token
        return Int64(cursor["id"])

    def _take(self, event: ChangeEvent) -> None:
        if event.order <= self._last:
            self._entries.append(Gap("it told what comes before what it had told already"))
        self._last = event.order
        self._entries.append(event)

    def _begin_anew(self, since: Timestamp | None, reason: str) -> None:
        self._entries.append(Gap(reason))
        self._since, self._token = since, None
        self._refused.clear()

    def _server_time(self) -> Timestamp | None:
        with self._client.start_session() as session:
            self._database.command("ping", session=session)
            return session.operation_time


def read_event(change: Mapping[str, Any]) -> ChangeEvent:
    """A change of the stream as it is recorded."""
    operation = change["operationType"]
    described = change.get("updateDescription") or {}
    fields = described.get("updatedFields") if operation == "update" else change.get("fullDocument")
    time = change["clusterTime"]
    return ChangeEvent(
        operation=cast(Operation, operation),
        context_id=change["documentKey"]["_id"],
        order=(time.time, time.inc),
        at=change["wallTime"],
        fields={name: value for name, value in (fields or {}).items() if _is_told(name)},
        removed=tuple(filter(_is_told, described.get("removedFields") or ())),
    )


def _is_told(name: str) -> bool:
    return name.partition(".")[0] in TOLD


def _without(names: tuple[str, ...]) -> Document:
    places = ("fullDocument", "updateDescription.updatedFields")
    return {f"{place}.{name}": 0 for place in places for name in names}
