"""What a worker process hands over to the views of Redis, of each write that ended an attempt.

Recording does no I/O. What gets lost the bridge finds in MongoDB.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import redis

from agent.errors import BrokerUnavailable
from agent.models import Document, Status, context_key
from agent.projections.connection import translate_redis_errors
from agent.projections.doorbell import VIEWS, ring
from agent.projections.entries import REASONS, Entry, dead_entry, retry_entry
from agent.projections.minutes import MinuteCounts
from agent.projections.reply_words import reply_word
from agent.projections.signals import CALLS
from agent.projections.views import ViewName, put, take_out

MOST_KEPT = 10_000
"""Entries that wait for a Redis that is away; of more the bridge is asked to read them itself."""
LONGEST_KEPT_SECONDS = 600


class Feed:
    """What this process wrote since its last flush. Any thread may note."""

    def __init__(self, namespace: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._namespace = namespace
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: dict[ViewName, dict[str, Entry | None]] = {"retries": {}, "dead": {}}
        """By key; None for what has to go."""
        self._minutes = MinuteCounts()
        self._lost = False

    def note(self, document: Document, update: Mapping[str, Any], word: str) -> None:
        """A worker has written this.

        Args:
            document: the context as it was before.
            update: what was written, in MongoDB's words.
            word: the context's id as commands take it.
        """
        after = written(document, update)
        retried, dead = retry_entry(after, word), dead_entry(after, word)
        key, now = context_key(document["_id"]), self._monotonic()
        with self._lock:
            if retried is not None or document.get("attempts"):
                self._entries["retries"][key] = retried
            if dead is not None or document.get("generation"):
                self._entries["dead"][key] = dead
            count(self._minutes, after, now, has_attempt=bool(recorded(update)))
            self._forget_too_many()

    def flush(self, client: redis.Redis) -> None:
        """Hand over what was noted, in one round trip, all of it or nothing.

        Raises:
            BrokerUnavailable: Redis did not answer: it is kept for the next flush, and may count
                twice. Redis refused: it is dropped, and the bridge is asked to look by itself.
        """
        now = self._monotonic()
        with self._lock:
            if not (any(self._entries.values()) or self._minutes or self._lost):
                return
            entries, self._entries = self._entries, {"retries": {}, "dead": {}}
            minutes, self._minutes = self._minutes, MinuteCounts()
            lost, self._lost = self._lost, False
        minutes.forget_before(now - LONGEST_KEPT_SECONDS)
        try:
            with translate_redis_errors(), client.pipeline(transaction=True) as pipeline:
                for name, told in entries.items():
                    put(
                        pipeline, self._namespace, name, [e for e in told.values() if e is not None]
                    )
                    gone = [key for key, entry in told.items() if entry is None]
                    take_out(pipeline, self._namespace, name, gone)
                minutes.queue_on(pipeline, self._namespace, now)
                pipeline.execute()
            lost = lost and not ring(client, self._namespace, VIEWS)
        except BrokerUnavailable as exc:
            if isinstance(exc.__cause__, redis.ConnectionError | redis.TimeoutError):
                self._take_back(entries, minutes)
            else:
                lost = True
            raise
        finally:
            with self._lock:
                self._lost = self._lost or lost

    def _forget_too_many(self) -> None:
        for told in self._entries.values():
            if len(told) > MOST_KEPT:
                told.clear()
                self._lost = True

    def _take_back(
        self, entries: dict[ViewName, dict[str, Entry | None]], minutes: MinuteCounts
    ) -> None:
        with self._lock:
            self._entries = {
                name: {**told, **self._entries[name]} for name, told in entries.items()
            }
            self._forget_too_many()
            minutes.add(self._minutes)
            self._minutes = minutes


def recorded(update: Mapping[str, Any]) -> list[Document]:
    """The attempts that a write records; it may push other things, or none."""
    attempts: list[Document] = update.get("$push", {}).get("attempts", {}).get("$each", [])
    return attempts


def written(document: Document, update: Mapping[str, Any]) -> Document:
    """The context after a worker's write, as far as a view says it: of the attempts the last."""
    after = {**document, **update.get("$set", {})}
    for name, more in update.get("$inc", {}).items():
        before = after.get(name)
        after[name] = more + (before if isinstance(before, int) else 0)
    if attempts := recorded(update):
        after["attempts"] = attempts
    for name in update.get("$unset", {}):
        after.pop(name, None)
    return after


def count(counts: MinuteCounts, after: Document, now: float, *, has_attempt: bool) -> None:
    """Count what a write did to a context, and the call that it ended."""
    service_type = str(after.get("service_type"))
    status, reason = after.get("status"), after.get("wait_reason")
    counted = [str(status)] if status in (Status.COMPLETED, Status.FAILED) else []
    if status == Status.SCHEDULED and reason in REASONS:
        counted = ["retried"]
    attempt = after["attempts"][-1] if has_attempt else {}
    seconds = reply = None
    if attempt.get("outcome") in CALLS:
        seconds, reply = (attempt.get("duration_ms") or 0) / 1000, reply_word(attempt)
    if counted or seconds is not None:
        counts.count(service_type, now, *counted, seconds=seconds, reply=reply)
