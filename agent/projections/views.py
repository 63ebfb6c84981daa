"""The views of retries and dead letters: sorted sets in Redis, and what is known of each context.

`agent:retries` has the ids by the time of the next attempt, `agent:retries:info` what there is to
say of each, `agent:retries:state` how complete that is; `agent:dead` likewise by the time of the
failure. A view holds the first so many and knows how many more there are. Workers put in what they
write, the bridge corrects it by what MongoDB holds, and nothing rests on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import redis
from redis.client import Pipeline

from agent.projections.connection import translate_redis_errors
from agent.projections.entries import EPOCH, Entry

ViewName = Literal["retries", "dead"]

LIMIT = 10_000
"""Entries of one view: the next ones, or the newest."""
CHUNK = 500
"""Entries that one script touches: longer ones keep Redis from everybody else."""

SIGN: Mapping[ViewName, int] = {"retries": 1, "dead": -1}
"""Which entries are left out of a view that is full: those of the highest times, or the lowest."""

# KEYS: the view, its info, its state. A view that is full has a horizon: what lies beyond it is
# counted only, or there would be gaps.
PUT = """
local limit, sign = tonumber(ARGV[1]), tonumber(ARGV[2])
local horizon = tonumber(redis.call('HGET', KEYS[3], 'horizon') or '')
local more = 0
for i = 3, #ARGV, 3 do
  local score = tonumber(ARGV[i + 1])
  if horizon and sign * score > sign * horizon then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('HDEL', KEYS[2], ARGV[i])
    more = more + 1
  else
    redis.call('ZADD', KEYS[1], ARGV[i + 1], ARGV[i])
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
  end
end
local over = redis.call('ZCARD', KEYS[1]) - limit
if over > 0 then
  local first, last = 0, over - 1
  if sign > 0 then first, last = -over, -1 end
  for _, key in ipairs(redis.call('ZRANGE', KEYS[1], first, last)) do
    redis.call('ZREM', KEYS[1], key)
    redis.call('HDEL', KEYS[2], key)
  end
  local place = 0
  if sign > 0 then place = -1 end
  local last_one = redis.call('ZRANGE', KEYS[1], place, place, 'WITHSCORES')
  redis.call('HSET', KEYS[3], 'horizon', last_one[2])
  more = more + over
end
if more > 0 then redis.call('HINCRBY', KEYS[3], 'more', more) end
redis.call('HINCRBY', KEYS[3], 'version', 1)
"""

REMOVE = """
local gone = 0
for _, key in ipairs(ARGV) do
  gone = gone + redis.call('ZREM', KEYS[1], key)
  redis.call('HDEL', KEYS[2], key)
end
if gone > 0 then redis.call('HINCRBY', KEYS[3], 'version', 1) end
"""

DROP = f"""
local keys = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, {CHUNK})
for _, key in ipairs(keys) do
  redis.call('ZREM', KEYS[1], key)
  redis.call('HDEL', KEYS[2], key)
end
if #keys > 0 then redis.call('HINCRBY', KEYS[3], 'version', 1) end
return #keys
"""

# What somebody else has changed since it was read is newer than what is to be written.
CORRECT = """
local changed = 0
for i = 1, #ARGV, 4 do
  local key, found, score, info = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if (redis.call('HGET', KEYS[2], key) or '') == found then
    if info == '' then
      redis.call('ZREM', KEYS[1], key)
      redis.call('HDEL', KEYS[2], key)
    else
      redis.call('ZADD', KEYS[1], score, key)
      redis.call('HSET', KEYS[2], key, info)
    end
    changed = changed + 1
  end
end
redis.call('HINCRBY', KEYS[3], 'version', 1)
return changed
"""


@dataclass(frozen=True, slots=True)
class State:
    """How complete a view is.

    Args:
        is_built: False since Redis lost it: what is there has come since.
        count: its entries.
        more: about how many there are beside them.
        version: changes whenever an entry does.
    """

    is_built: bool
    count: int
    more: int
    version: int


Snapshot = Mapping[str, tuple[float | None, str]]
"""By key: the score and the text of the entry; None or empty where one of them is missing."""


def view_keys(namespace: str, name: ViewName) -> list[str]:
    """The keys of a view: the sorted set, the info, the state."""
    return [f"{namespace}:{name}", f"{namespace}:{name}:info", f"{namespace}:{name}:state"]


def put(pipeline: Pipeline, namespace: str, name: ViewName, entries: Sequence[Entry]) -> None:
    """Put entries into a view, when the pipeline is executed."""
    keys = view_keys(namespace, name)
    for start in range(0, len(entries), CHUNK):
        args: list[str | int] = [LIMIT, SIGN[name]]
        for entry in entries[start : start + CHUNK]:
            args += [entry.key, entry.score, entry.to_info()]
        pipeline.eval(PUT, 3, *keys, *args)


def take_out(pipeline: Pipeline, namespace: str, name: ViewName, keys: Sequence[str]) -> None:
    """Take entries out of a view, when the pipeline is executed."""
    for start in range(0, len(keys), CHUNK):
        pipeline.eval(REMOVE, 3, *view_keys(namespace, name), *keys[start : start + CHUNK])


class View:
    """One view, as those see it who keep it true.

    Every method raises `BrokerUnavailable` when Redis did not answer.
    """

    def __init__(self, client: redis.Redis, namespace: str, name: ViewName) -> None:
        self.name = name
        self._client = client
        self._namespace = namespace
        self._keys = view_keys(namespace, name)

    def state(self) -> State:
        """How complete it is."""
        with translate_redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(self._keys[2])
            pipeline.zcard(self._keys[0])
            told, count = pipeline.execute()
        return state_of(told, count)

    def remove(self, keys: Sequence[str]) -> None:
        """Take out what is not there any more: it was begun anew, or cancelled."""
        with translate_redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            take_out(pipeline, self._namespace, self.name, keys)
            pipeline.execute()

    def drop_until(self, moment: datetime) -> int:
        """Take out what was to be tried again by then; how many."""
        until, dropped = f"{(moment - EPOCH).total_seconds():.3f}", 0
        while True:
            with translate_redis_errors():
                count = int(self._client.eval(DROP, 3, *self._keys, until))
            dropped += count
            if count < CHUNK:
                return dropped

    def snapshot(self) -> Snapshot:
        """What is there now, to be corrected by `correct`."""
        with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.zrange(self._keys[0], 0, -1, withscores=True)
            pipeline.hgetall(self._keys[1])
            scores, infos = pipeline.execute()
        found: dict[str, tuple[float | None, str]] = {
            key: (None, text) for key, text in infos.items()
        }
        for key, score in scores:
            found[key] = (score, infos.get(key, ""))
        return found

    def correct(self, before: Snapshot, entries: Sequence[Entry], more: int) -> int:
        """Have it hold these entries; how many were not as they should be.

        Args:
            before: what was there before the entries were read from MongoDB. What has changed since
                is left as it is.
            entries: in the order of the view.
            more: how many there are beside these.
        """
        wrong = list(_corrections(before, entries))
        changed = 0
        for start in range(0, len(wrong), CHUNK):
            args = [word for each in wrong[start : start + CHUNK] for word in each]
            with translate_redis_errors():
                changed += int(self._client.eval(CORRECT, 3, *self._keys, *args))
        with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._keys[2], mapping={"built": 1, "more": more})
            if more and entries:
                pipeline.hset(self._keys[2], "horizon", entries[-1].score)
            else:
                pipeline.hdel(self._keys[2], "horizon")
            pipeline.hincrby(self._keys[2], "version", 1)
            pipeline.execute()
        return changed


def _corrections(before: Snapshot, entries: Sequence[Entry]) -> Iterable[tuple[str, str, str, str]]:
    """Key, text that was found, score and text that should be; no text for what has to go."""
    wanted = {entry.key: entry for entry in entries}
    for key, (_, text) in before.items():
        if key not in wanted:
            yield key, text, "", ""
    for key, entry in wanted.items():
        score, text = before.get(key, (None, ""))
        info = entry.to_info()
        if text != info or score is None or score != float(entry.score):
            yield key, text, entry.score, info


def state_of(told: Mapping[str, str], count: int) -> State:
    """The state as it stands in Redis."""
    return State(
        is_built="built" in told,
        count=count,
        more=max(0, int(told.get("more", 0))),
        version=int(told.get("version", 0)),
    )
