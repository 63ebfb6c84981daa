"""Changes of many contexts that somebody has begun: how far each is, and what was there before.

A deed has the id of its entry in the audit, under which alone it is found. Its items are changed
in pieces, by whichever process is asked to go on. A piece is written down before it is changed and
counted after it, so that whoever dies in between leaves that behind; and since every single change
is guarded, a piece may be done twice. All of it expires: what is lost is only the way on and back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import redis

from agent.projections.connection import translate_redis_errors

UNDO_WITHIN = timedelta(minutes=10)
KEPT_OPEN = timedelta(hours=1)
"""What nobody goes on with by then is left as it is."""
HELD_SECONDS = 120
"""Longer than a piece may take when MongoDB fails over; who died in one is waited for as long."""
CHUNK = 500
MOST_SHOWN = 5
COUNTS = ("total", "place", "changed", "moved_on", "refused", "unsure", "late")

GIVE_BACK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
# KEYS: how items were, and the deed that changed them; the items of the new deed, and that itself;
# the list. In one go, so that whoever dies leaves nothing that can be taken back twice.
TAKE_OVER = """
if redis.call('HEXISTS', KEYS[2], 'over') == 0 then return 0 end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local total = redis.call('LLEN', KEYS[1])
redis.call('HSET', KEYS[2], 'undone', 1)
redis.call('RENAME', KEYS[1], KEYS[3])
redis.call('HSET', KEYS[4], 'told', ARGV[1], 'total', total)
redis.call('ZADD', KEYS[5], ARGV[2], ARGV[3])
for _, key in ipairs({KEYS[3], KEYS[4], KEYS[5]}) do redis.call('EXPIRE', key, ARGV[4]) end
return total
"""


@dataclass(frozen=True, slots=True)
class DeedState:
    """How far a deed is.

    Args:
        told: what was asked for, and by whom, as it was begun.
        total: its items.
        place: of the first one that is not done.
        changed: so many were; others had `moved_on`, or MongoDB `refused` them, or it is `unsure`,
            since a process died with a piece of them.
        late: by so many seconds what is spread in time begins later than was meant.
        open_piece: a piece of so many from there on was begun, and it was not said how it ended.
        opened_at: when that was, in seconds since 1970.
        is_over: nothing is done any more.
        is_undone: somebody has taken it back.
        noted: of so many it is known how they were before.
    """

    id: str
    told: Mapping[str, Any]
    total: int
    place: int = 0
    changed: int = 0
    moved_on: int = 0
    refused: int = 0
    unsure: int = 0
    late: int = 0
    open_piece: int = 0
    opened_at: float = 0.0
    is_over: bool = False
    is_undone: bool = False
    noted: int = 0

    @property
    def left(self) -> int:
        return self.total - self.place


class Deeds:
    """The deeds of one installation. Every method raises `BrokerUnavailable` when Redis did not
    answer."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def _key(self, deed_id: str, part: str = "") -> str:
        return f"{self._namespace}:deed:{deed_id}{part}"

    @property
    def _list(self) -> str:
        return f"{self._namespace}:deeds"

    def begin(self, deed_id: str, told: Mapping[str, Any], items: Sequence[str]) -> None:
        """Write down what is to be done."""
        with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
            for start in range(0, len(items), CHUNK):
                pipeline.rpush(self._key(deed_id, ":items"), *items[start : start + CHUNK])
            pipeline.hset(self._key(deed_id), mapping={"told": _written(told), "total": len(items)})
            pipeline.zremrangebyrank(self._list, 0, -10 * MOST_SHOWN)
            pipeline.zadd(self._list, {deed_id: told["at"]})
            for key in (self._key(deed_id, ":items"), self._key(deed_id), self._list):
                pipeline.expire(key, KEPT_OPEN)
            pipeline.execute()

    def begin_undo(self, deed_id: str, of: str, told: Mapping[str, Any]) -> int:
        """Write down that a deed is to be taken back, and how many it has kept; 0 if it was taken
        back already, is not over, or it is too late."""
        keys = [self._key(of, ":before"), self._key(of), self._key(deed_id, ":items"),
                self._key(deed_id), self._list]  # fmt: skip
        args = [_written(told), told["at"], deed_id, int(KEPT_OPEN.total_seconds())]
        with translate_redis_errors():
            return int(self._client.eval(TAKE_OVER, len(keys), *keys, *args))

    def find(self, deed_id: str) -> DeedState | None:
        """How far it is; None if there is none, or it is too long ago."""
        return self._read([deed_id])[0]

    def newest(self) -> list[DeedState]:
        """Those that are going on or can be taken back, the newest first."""
        with translate_redis_errors():
            ids = self._client.zrevrange(self._list, 0, MOST_SHOWN * 10)
        found = [each for each in self._read([str(each) for each in ids]) if each is not None]
        open_ = [each for each in found if not each.is_over or (each.noted and not each.is_undone)]
        return open_[:MOST_SHOWN]

    def _read(self, ids: Sequence[str]) -> list[DeedState | None]:
        with translate_redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            for deed_id in ids:
                pipeline.hgetall(self._key(deed_id))
                pipeline.llen(self._key(deed_id, ":before"))
            found = pipeline.execute()
        return [_state(*each) for each in zip(ids, found[::2], found[1::2], strict=True)]

    @contextmanager
    def held(self, deed_id: str) -> Iterator[bool]:
        """Hold it while pieces of it are done; False if another process does."""
        key, token = self._key(deed_id, ":held"), uuid4().hex
        with translate_redis_errors():
            is_ours = bool(self._client.set(key, token, nx=True, ex=HELD_SECONDS))
        try:
            yield is_ours
        finally:
            if is_ours:
                with translate_redis_errors():
                    self._client.eval(GIVE_BACK, 1, key, token)

    def next_piece(self, state: DeedState, size: int, now: float) -> list[str]:
        """The next items, written down as begun. A piece that was left open comes again."""
        size = min(state.open_piece or size, state.left)
        with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.lrange(self._key(state.id, ":items"), state.place, state.place + size - 1)
            pipeline.hset(self._key(state.id), mapping={"open": size, "opened_at": now})
            pipeline.expire(self._key(state.id, ":held"), HELD_SECONDS)
            items, *_ = pipeline.execute()
        return list(items)

    def note_before(self, deed_id: str, before: Sequence[str]) -> None:
        """Keep how some were that are about to be changed."""
        if before:
            with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
                pipeline.rpush(self._key(deed_id, ":before"), *before)
                pipeline.expire(self._key(deed_id, ":before"), KEPT_OPEN)
                pipeline.expire(self._key(deed_id, ":held"), HELD_SECONDS)
                pipeline.execute()

    def count(self, state: DeedState) -> None:
        """A piece is done: how far it is now."""
        with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._key(state.id), mapping={n: getattr(state, n) for n in COUNTS})
            pipeline.hdel(self._key(state.id), "open")
            pipeline.execute()

    def end(self, deed_id: str) -> None:
        """It is over; for some time it can be taken back."""
        with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._key(deed_id), "over", 1)
            pipeline.delete(self._key(deed_id, ":items"))
            for part in ("", ":before"):
                pipeline.expire(self._key(deed_id, part), UNDO_WITHIN)
            pipeline.execute()


def _written(told: Mapping[str, Any]) -> str:
    return json.dumps(dict(told), separators=(",", ":"))


def _state(deed_id: str, found: Mapping[str, str], noted: int) -> DeedState | None:
    try:
        counts = {name: int(found.get(name, 0)) for name in COUNTS}
        told = json.loads(found["told"])
    except (KeyError, ValueError):
        return None
    return DeedState(
        deed_id, told, **counts, open_piece=int(found.get("open", 0)),
        opened_at=float(found.get("opened_at", 0)), noted=noted,
        is_over="over" in found, is_undone="undone" in found,
    )  # fmt: skip
