"""Group commit: the guarded writes of many threads in one round trip.

A thread of its own sends whatever has gathered, at once when idle. The server's reply to a group is
only a total: a start is read back by its token, and on a short count each write is looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pymongo import UpdateOne

from agent.errors import AgentError, StoreError, StoreUnavailable
from agent.models import Claim, Document
from agent.store.changes import Hold, Write
from agent.store.connection import check_storable, error_of, translated, write_errors
from agent.store.runs import Fate, Runs, is_started, token_of

LARGEST_GROUP = 100
"""Documents that were started come back with one read; they may be large."""

_Value = TypeVar("_Value")


class _Reply(Generic[_Value]):
    """What one thread waits for: a lock that is taken until it is there.

    A `Future` does the same with a condition of its own, which took 8 % of a worker's time.
    """

    __slots__ = ("_error", "_there", "_value")

    def __init__(self) -> None:
        self._there = threading.Lock()
        self._there.acquire()
        self._value: _Value
        self._error: BaseException | None = None

    def done(self) -> bool:
        return not self._there.locked()

    def set_result(self, value: _Value) -> None:
        self._value = value
        self._there.release()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._there.release()

    def result(self) -> _Value:
        """Wait for it. The lock is let go again, so that it stays there."""
        with self._there:
            if self._error is not None:
                raise self._error
            return self._value


@dataclass(slots=True)
class _Start:
    write: Write
    claim: Claim
    token: str
    reply: _Reply[Document | None] = field(default_factory=_Reply)


@dataclass(slots=True)
class _Finish:
    write: Write
    hold: Hold
    reply: _Reply[bool] = field(default_factory=_Reply)


_Item = _Start | _Finish


class GroupWriter:
    """Writes for all threads of a process.

    Args:
        store: what is written to; a start and a finish mean the same as there.
    """

    def __init__(self, store: Runs) -> None:
        self._store = store
        self._gathered: list[_Item] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="group-writer", daemon=True)
        self._thread.start()

    def start(self, write: Write, claim: Claim, token: str) -> Document | None:
        """Begin a claimed context; the document, or None when the claim is stale.

        Raises:
            StoreUnavailable: MongoDB did not answer; whether it was started is open.
        """
        item = _Start(write, claim, token)
        self._add(item)
        return item.reply.result()

    def finish(self, write: Write, hold: Hold) -> bool:
        """Do the last write of a hold; False when it is stale.

        Raises:
            NotStorable: MongoDB would refuse the document; found out before it joins the others.
            StoreUnavailable: MongoDB did not answer; what became of it is open.
        """
        check_storable(write.update)
        item = _Finish(write, hold)
        self._add(item)
        return item.reply.result()

    def close(self) -> None:
        """Write what has gathered, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _add(self, item: _Item) -> None:
        with self._changed:
            if self._closed:
                raise StoreUnavailable("this process is closing")
            self._gathered.append(item)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._gathered and not self._closed:
                    self._changed.wait()
                if not self._gathered:
                    return
                group = self._gathered[:LARGEST_GROUP]
                del self._gathered[:LARGEST_GROUP]
            try:
                self._commit(group)
            except BaseException as exc:
                _fail(group, exc)

    def _commit(self, group: list[_Item]) -> None:
        refused: dict[int, tuple[int, str]] = {}
        whole = False
        try:
            with translated():
                result = self._store.contexts.bulk_write(
                    [UpdateOne(item.write.filter, item.write.update) for item in group],
                    ordered=False,
                )
            whole = result.matched_count == len(group)
        except StoreError as exc:
            refused = write_errors(exc.__cause__)
            if not refused:
                raise
        for position, (code, message) in refused.items():
            group[position].reply.set_exception(error_of(code, message))
        rest = [item for position, item in enumerate(group) if position not in refused]
        self._answer_finishes([item for item in rest if isinstance(item, _Finish)], whole)
        self._answer_starts([item for item in rest if isinstance(item, _Start)])

    def _answer_starts(self, items: Sequence[_Start]) -> None:
        found = self._read([item.claim.context_id for item in items])
        by_token = {token_of(each): each for each in found or ()}
        for item in items:
            if found is None:
                _answer(item, lambda item=item: self._store.started(item.claim, item.token))
                continue
            document = by_token.get(item.token)
            ours = is_started(document, item.claim.fence, item.token)
            item.reply.set_result(document if ours else None)

    def _answer_finishes(self, items: Sequence[_Finish], whole: bool) -> None:
        if whole:
            for item in items:
                item.reply.set_result(True)
            return
        for item in items:
            _answer(item, lambda item=item: self._took_place(item))

    def _took_place(self, item: _Finish) -> bool:
        fate = self._store.fate(item.hold, leaves_attempt=item.write.leaves_attempt)
        if fate is Fate.HELD:  # it matched nothing then, and would now
            return self._store.write_back(item.write)
        return fate is Fate.APPLIED

    def _read(self, ids: list[Any]) -> list[Document] | None:
        """The documents; None when one of them cannot be decoded, so that each is read alone."""
        if not ids:
            return []
        try:
            return self._store.find_by_ids(ids)
        except StoreUnavailable:
            raise
        except AgentError:
            return None


def _answer(item: Any, ask: Any) -> None:
    try:
        item.reply.set_result(ask())
    except Exception as exc:
        item.reply.set_exception(exc)


def _fail(group: Sequence[_Item], exc: BaseException) -> None:
    for item in group:
        if not item.reply.done():
            item.reply.set_exception(exc)
