"""What happened in each minute, by service, for the charts of the last hour and the last day.

`agent:minutes:{service}:{hour}` is a hash: by minute a short list of numbers that workers add to,
beside it how calls were answered, and, once a minute, what the bridge saw waiting and in flight.
Minutes are those of Redis's clock. A busy day of one service takes about 450 kB, 650 kB where each
minute has as many answers as there is room for, and is gone after 25 hours.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis
from redis.client import Pipeline

from agent.projections.connection import translate_redis_errors
from agent.projections.counters import BOUNDS
from agent.projections.reply_words import MOST, OTHER, bounded

MINUTE_SECONDS = 60
KEPT_SECONDS = 25 * 3600

COUNTS = ("completed", "failed", "retried", "calls")
"""The first numbers of a row; behind them so many calls took at most so long, bound by bound."""
LATENCY_BOUNDS = BOUNDS["attempt_seconds"]
WIDTH = len(COUNTS) + len(LATENCY_BOUNDS) + 1
NOTHING: Mapping[tuple[str, int], Mapping[str, int]] = {}

# KEYS: the beginning of all keys. Ages, so that hosts need not agree about the time.
ADD = f"""
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local width = tonumber(ARGV[1])
for i = 2, #ARGV, width + 3 do
  local minute = math.floor((now - tonumber(ARGV[i + 1])) / {MINUTE_SECONDS})
  local key = KEYS[1] .. ARGV[i] .. string.format(':%d', math.floor(minute / 60))
  local field = string.format('%d', minute % 60)
  local found = redis.call('HGET', key, field)
  local row = found and cjson.decode(found) or {{}}
  for j = 1, width do row[j] = (row[j] or 0) + tonumber(ARGV[i + 1 + j]) end
  redis.call('HSET', key, field, cjson.encode(row))
  if ARGV[i + 2 + width] ~= '' then
    local told = redis.call('HGET', key, field .. 'r')
    local replies = told and cjson.decode(told) or {{}}
    local words = 0
    for _ in pairs(replies) do words = words + 1 end
    for word, count in pairs(cjson.decode(ARGV[i + 2 + width])) do
      if not replies[word] then
        if words >= {MOST - 1} then word = '{OTHER}' else words = words + 1 end
      end
      replies[word] = (replies[word] or 0) + count
    end
    redis.call('HSET', key, field .. 'r', cjson.encode(replies))
  end
  redis.call('EXPIRE', key, {KEPT_SECONDS})
end
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one service had at one moment."""

    pending: int = 0
    scheduled: int = 0
    in_flight: int = 0


class MinuteCounts:
    """What was counted and not written yet. Not thread-safe: its owner has the lock."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], list[int]] = {}
        """By service type and second of the monotonic clock."""
        self.replies: dict[tuple[str, int], Counter[str]] = {}
        """How calls were answered; only of what has a row, too."""

    def __bool__(self) -> bool:
        return bool(self.rows)

    def count(
        self,
        service_type: str,
        now: float,
        *counted: str,
        seconds: float | None = None,
        reply: str | None = None,
    ) -> None:
        """One more of each that is named; with `seconds`, one call more, that took so long and was
        answered by `reply`."""
        key = service_type, int(now)
        count_in(self.rows.setdefault(key, [0] * WIDTH), *counted, seconds=seconds)
        if reply is not None:
            self.replies.setdefault(key, Counter())[reply] += 1

    def add(self, newer: MinuteCounts) -> None:
        """Take over what another one holds."""
        for key, row in newer.rows.items():
            mine = self.rows.setdefault(key, [0] * WIDTH)
            mine[:] = map(int.__add__, mine, row)
        for key, replies in newer.replies.items():
            self.replies.setdefault(key, Counter()).update(replies)

    def forget_before(self, oldest: float) -> None:
        """Drop what has waited too long for a Redis that is away."""
        for key in [key for key in self.rows if key[1] < oldest]:
            del self.rows[key]
            self.replies.pop(key, None)

    def queue_on(self, pipeline: Pipeline, namespace: str, now: float) -> None:
        """Put the increments on a pipeline."""
        args: list[str | int | float] = [WIDTH]
        for key, row in self.rows.items():
            replies = self.replies.get(key)
            told = "" if replies is None else _compact(bounded(replies))
            args += [key[0], max(0.0, now - key[1] - 0.5), *row, told]
        if self.rows:
            pipeline.eval(ADD, 1, f"{namespace}:minutes:", *args)


def count_in(row: list[int], *counted: str, seconds: float | None = None) -> None:
    """One more of each that is named; with `seconds`, one call more, that took so long."""
    for name in counted:
        row[COUNTS.index(name)] += 1
    if seconds is not None:
        row[COUNTS.index("calls")] += 1
        row[len(COUNTS) + bisect_left(LATENCY_BOUNDS, max(0.0, seconds))] += 1


class Minutes:
    """The minutes of all services, as the bridge keeps them.

    Every method raises `BrokerUnavailable` when Redis did not answer.
    """

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._prefix = f"{namespace}:minutes:"
        self._state = f"{namespace}:minutes:state"

    def now(self) -> float:
        """Redis's time, in seconds since 1970: minutes are those of its clock."""
        with translate_redis_errors():
            seconds, microseconds = self._client.time()
        return float(seconds) + float(microseconds) / 1e6

    def is_built(self) -> bool:
        """Whether nothing was lost since the bridge last built them."""
        with translate_redis_errors():
            return bool(self._client.exists(self._state))

    def sample(self, minute: int, samples: Mapping[str, Sample]) -> None:
        """Note what each service has now.

        Args:
            minute: of Redis's clock, since 1970.
        """
        with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
            for service_type, each in samples.items():
                key, field = self._place(service_type, minute)
                row = [each.pending, each.scheduled, each.in_flight]
                pipeline.hset(key, f"{field}s", _compact(row))
                pipeline.expire(key, KEPT_SECONDS)
            pipeline.execute()

    def rebuild(
        self,
        rows: Mapping[tuple[str, int], Sequence[int]],
        minute: int,
        replies: Mapping[tuple[str, int], Mapping[str, int]] = NOTHING,
    ) -> None:
        """Have these minutes hold what MongoDB knows of them.

        Args:
            rows: by service type and minute of Redis's clock.
            replies: likewise how calls were answered; only of minutes that have a row.
            minute: the present one; up to it all is told as `≈` from now on, unless nothing at
                all is known of before: then nothing is missing.
        """
        oldest = minute - KEPT_SECONDS // MINUTE_SECONDS
        with translate_redis_errors(), self._client.pipeline(transaction=True) as pipeline:
            for (service_type, of), row in rows.items():
                if not oldest < of <= minute:
                    continue
                key, field = self._place(service_type, of)
                pipeline.hset(key, field, _compact(list(row)))
                if told := replies.get((service_type, of)):
                    pipeline.hset(key, f"{field}r", _compact(bounded(told)))
                left = of * MINUTE_SECONDS + KEPT_SECONDS - minute * MINUTE_SECONDS
                pipeline.expire(key, max(MINUTE_SECONDS, left))
            pipeline.hset(self._state, "exact_from", minute + 1 if rows else 0)
            pipeline.execute()

    def _place(self, service_type: str, minute: int) -> tuple[str, str]:
        return f"{self._prefix}{service_type}:{minute // 60}", str(minute % 60)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
