"""Which worker processes are alive, what they serve and what they run.

Each beats every two seconds. When it did is noted by Redis's clock, so a host with a wrong one
neither hides its own workers nor outlives others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import redis
from pydantic import TypeAdapter, ValidationError

from agent.projections.connection import translate_redis_errors

LIVE = timedelta(seconds=7)
"""Three beats missed, and a little more."""
FORGOTTEN = timedelta(hours=1)

BEAT = """
local time = redis.call('TIME')
local now = string.format('%d.%06d', time[1], time[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
"""

READ = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local forgotten = string.format('(%.6f', now - tonumber(ARGV[2]))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', forgotten)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
local oldest = string.format('%.6f', now - tonumber(ARGV[1]))
local beats = redis.call('ZRANGEBYSCORE', KEYS[1], oldest, '+inf', 'WITHSCORES')
local reply = {}
for i = 1, #beats, 2 do
  local info = redis.call('HGET', KEYS[2], beats[i]) or ''
  reply[#reply + 1] = {info, string.format('%.6f', now - tonumber(beats[i + 1]))}
end
return reply
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A context in a worker's hands, and for how long at its last beat."""

    context_id: str
    service_type: str
    since_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker process as its last beat described it.

    Args:
        broker_id: by which Dramatiq knows it; None for a worker without a broker.
        beat_age_seconds: since that beat, when read; not stored.
    """

    worker_id: str
    service_types: tuple[str, ...]
    threads: int
    busy: int
    host: str
    pid: int
    version: str
    draining: bool
    started_at: str
    running: list[Running] = field(default_factory=list)
    broker_id: str | None = None
    beat_age_seconds: float = 0.0


_VIEW = TypeAdapter(WorkerView)


class Presence:
    """The signs of life of all worker processes of a namespace."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._keys = [f"{namespace}:workers", f"{namespace}:workers:info"]
        self._client = client
        self._beat = client.register_script(BEAT)
        self._read = client.register_script(READ)

    def beat(self, view: WorkerView) -> None:
        """Say that this process lives, and what it does.

        Raises:
            BrokerUnavailable: Redis did not answer; the next beat repairs it.
        """
        info = _VIEW.dump_json(view, exclude={"beat_age_seconds"})
        with translate_redis_errors():
            self._beat(keys=self._keys, args=[view.worker_id, info])

    def leave(self, worker_id: str) -> None:
        """Take a process that ends off the list.

        Raises:
            BrokerUnavailable: Redis did not answer; the process fades out by itself.
        """
        with translate_redis_errors(), self._client.pipeline() as pipeline:
            pipeline.zrem(self._keys[0], worker_id)
            pipeline.hdel(self._keys[1], worker_id)
            pipeline.execute()

    def live(self, max_age: timedelta = LIVE) -> list[WorkerView]:
        """The processes that beat within `max_age`, longest silent first, in one round trip.

        Those silent for an hour are forgotten; an entry that cannot be read is skipped.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        ages = [max_age.total_seconds(), FORGOTTEN.total_seconds()]
        with translate_redis_errors():
            entries = self._read(keys=self._keys, args=ages)
        views = (_view(info, float(age)) for info, age in entries)
        return [view for view in views if view is not None]

    def all(self) -> list[WorkerView]:
        """Every process that is not forgotten yet, living or not.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return self.live(FORGOTTEN)


def threads_by_service(workers: Iterable[WorkerView]) -> dict[str, int]:
    """How many threads each service type has: a process of k services gives each ⌊threads/k⌋.

    A draining process takes nothing more and counts 0.
    """
    threads: Counter[str] = Counter()
    for worker in workers:
        for service_type in worker.service_types:
            share = 0 if worker.draining else worker.threads // len(worker.service_types)
            threads[service_type] += share
    return dict(threads)


def _view(info: str, age: float) -> WorkerView | None:
    try:
        return replace(_VIEW.validate_json(info), beat_age_seconds=max(0.0, age))
    except ValidationError:
        return None
