"""Which bridges are alive, and how the duties of each of them go.

Each beats every two seconds, in one command, whether it leads or stands by. As with workers the
time is Redis's, and ages are told, so that hosts need not agree about it. Who leads stands in
MongoDB.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import redis
from pydantic import TypeAdapter, ValidationError

from agent.projections.connection import translate_redis_errors
from agent.projections.presence import LIVE, READ

FORGOTTEN = timedelta(minutes=10)
"""After its last beat a bridge, and what its duties did, is shown for so long."""
MOST_DUTIES = 50

BEAT = f"""
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('ZADD', KEYS[1], string.format('%.6f', now), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local seconds = {FORGOTTEN.total_seconds():.0f}
redis.call('EXPIRE', KEYS[1], seconds)
redis.call('EXPIRE', KEYS[2], seconds)
local forgotten = string.format('(%.6f', now - seconds)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', forgotten)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
"""


@dataclass(frozen=True, slots=True)
class DutyView:
    """One duty of a bridge, as it was at its last beat.

    Args:
        age_seconds: since its last run ended; None if there was none yet.
        took_seconds: how long that took.
        every_seconds: how often it comes by itself; None of what comes when there is a reason.
        error: of the last run that failed; None if none has.
        error_age_seconds: since then.
    """

    name: str
    age_seconds: float | None = None
    took_seconds: float | None = None
    every_seconds: float | None = None
    error: str | None = None
    error_age_seconds: float | None = None

    @property
    def is_failing(self) -> bool:
        """Whether its very last run failed."""
        return self.error_age_seconds is not None and self.error_age_seconds == self.age_seconds


@dataclass(frozen=True, slots=True)
class BridgeView:
    """A bridge as its last beat described it.

    Args:
        owner: by which it leads, if it does.
        leads: whether it held itself to be the leader.
        listens: whether it hears the doorbell over Redis.
        watches: whether it hears of inserts over MongoDB's change stream; only the leader asks.
        duties: those that it has done since it began to lead.
        bounds: by service, what keeps more of it from starting.
        beat_age_seconds: since that beat, when read; not stored.
    """

    owner: str
    host: str
    pid: int
    version: str
    started_at: str
    leads: bool
    listens: bool
    watches: bool
    duties: list[DutyView] = field(default_factory=list)
    bounds: dict[str, str] = field(default_factory=dict)
    beat_age_seconds: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it beat lately."""
        return self.beat_age_seconds <= LIVE.total_seconds()


_VIEW = TypeAdapter(BridgeView)


class Bridges:
    """The signs of life of all bridges of a namespace.

    Every method raises `BrokerUnavailable` when Redis did not answer.
    """

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._keys = [f"{namespace}:bridges", f"{namespace}:bridges:info"]
        self._client = client
        self._beat = client.register_script(BEAT)
        self._read = client.register_script(READ)

    def beat(self, view: BridgeView) -> None:
        """Say that this bridge lives, and how its duties go."""
        info = _VIEW.dump_json(view, exclude={"beat_age_seconds"}, exclude_none=True)
        with translate_redis_errors():
            self._beat(keys=self._keys, args=[view.owner, info])

    def leave(self, owner: str) -> None:
        """Take a bridge that ends off the list."""
        with translate_redis_errors(), self._client.pipeline() as pipeline:
            pipeline.zrem(self._keys[0], owner)
            pipeline.hdel(self._keys[1], owner)
            pipeline.execute()

    def all(self) -> list[BridgeView]:
        """Those that are not forgotten yet, the longest silent first, in one round trip; an entry
        that cannot be read is skipped."""
        seconds = FORGOTTEN.total_seconds()
        with translate_redis_errors():
            entries = self._read(keys=self._keys, args=[seconds, seconds])
        views = (_view(info, float(age)) for info, age in entries)
        return [view for view in views if view is not None]


def _view(info: str, age: float) -> BridgeView | None:
    """Its ages as they are now."""
    try:
        view = _VIEW.validate_json(info)
    except ValidationError:
        return None
    age = max(0.0, age)
    duties = [
        replace(
            duty,
            age_seconds=_older(duty.age_seconds, age),
            error_age_seconds=_older(duty.error_age_seconds, age),
        )
        for duty in view.duties[:MOST_DUTIES]
    ]
    return replace(view, duties=duties, beat_age_seconds=age)


def _older(seconds: float | None, by: float) -> float | None:
    return None if seconds is None else seconds + by
