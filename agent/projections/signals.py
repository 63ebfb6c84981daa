"""What workers saw of each service: what the gate decides by, and what `/metrics` counts.

A worker process records in memory and flushes with its heartbeat. Counts fall into buckets of 5 s
by Redis's clock: each flush says how old they are, never what time it is, so hosts need not agree.
A worker that runs alone, without Redis, has the same in `LocalSignals`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import redis

from agent.errors import BrokerUnavailable
from agent.projections.connection import translate_redis_errors
from agent.projections.recorded import BUCKET_SECONDS, KEPT_SECONDS, Recorded, Streak, streak_key

WINDOW_SECONDS = 30.0
CALLS = frozenset({"completed", "failed", "retry", "snooze", "accepted"})
SUCCESSES = frozenset({"completed", "accepted"})
DEFINITE = frozenset({"completed", "failed", "accepted"})
"""Outcomes that prove, unless the service itself failed, that the key is accepted."""

READ = f"""
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local first = math.floor((now - tonumber(ARGV[1])) / {BUCKET_SECONDS})
local reply = {{}}
for i = 2, #ARGV do
  local key = KEYS[1] .. ARGV[i]
  local calls, failing = 0, 0
  for bucket = first, math.floor(now / {BUCKET_SECONDS}) do
    local seen = redis.call('HMGET', key .. string.format(':%d', bucket), 'calls', 'failing')
    calls = calls + tonumber(seen[1] or '0')
    failing = failing + tonumber(seen[2] or '0')
  end
  local at = redis.call('HGET', key, 'last_success_at')
  local age = ''
  if at then age = string.format('%.6f', now - tonumber(at)) end
  reply[#reply + 1] = {{calls, failing, age}}
end
return reply
"""


@dataclass(frozen=True, slots=True)
class Window:
    """How a service did lately, and how long ago it last succeeded (None: not known to have)."""

    calls: int = 0
    failing: int = 0
    last_success_age_seconds: float | None = None


class SignalView(Protocol):
    """What the gate asks: of all workers (`SharedSignals`) or of this one (`LocalSignals`)."""

    def window(
        self, service_types: Iterable[str], seconds: float = WINDOW_SECONDS
    ) -> dict[str, Window]:
        """How each service did in the last seconds."""

    def forbidden_streak(self, service_type: str) -> int:
        """How many different contexts were answered 403 since the last other definite outcome."""


class Signals:
    """What this process saw since its last flush. Any thread may record; recording does no I/O."""

    def __init__(self, namespace: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._namespace = namespace
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._pending = Recorded()

    def record(
        self,
        service_type: str,
        *,
        outcome: str,
        failing: bool,
        forbidden: bool,
        context_key: str,
        seconds: float,
        pickup_seconds: float | None,
    ) -> None:
        """Note how one attempt ended.

        Args:
            outcome: completed, failed, retry, snooze or accepted; any other (lost, stale, released)
                says nothing about the service and only counts as an attempt.
            failing: the service itself failed: a 5xx, a transport error, a timeout.
            forbidden: it answered 403.
            seconds: what the call took.
            pickup_seconds: from when the context was due until the call; None if it was a poll.
        """
        now = self._monotonic()
        with self._lock:
            pending = self._pending
            pending.counters.count_attempt(service_type, outcome)
            if outcome == "stale":
                pending.counters.totals["stale_fence_total"] += 1
            if outcome not in CALLS:
                return
            tally = pending.tally(service_type, now)
            tally.calls += 1
            tally.failing += failing
            if outcome in SUCCESSES:
                pending.successes[service_type] = now
            if forbidden:
                pending.note_forbidden(service_type, context_key)
            elif outcome in DEFINITE and not failing:
                pending.streaks[service_type] = Streak(broken=True)
            pending.counters.observe("attempt_seconds", service_type, seconds)
            if pickup_seconds is not None:
                pending.counters.observe("pickup_seconds", service_type, pickup_seconds)

    def count_stale(self, count: int = 1) -> None:
        """Note guarded writes that matched nothing and ended no attempt, such as a late start."""
        with self._lock:
            self._pending.counters.totals["stale_fence_total"] += count

    def count_expired(self, count: int) -> None:
        """Note leases that rescue found run out."""
        with self._lock:
            self._pending.counters.totals["leases_expired_total"] += count

    def flush(self, client: redis.Redis) -> None:
        """Add what was recorded to Redis, in one round trip, all of it or nothing.

        Raises:
            BrokerUnavailable: Redis did not answer: everything is kept for the next flush, but
                what the gate would no longer look at. If it did take them, some count twice. Redis
                refused: they are dropped, or the same refusal would come back for ever.
        """
        now = self._monotonic()
        with self._lock:
            taken, self._pending = self._pending, Recorded()
        taken.forget_before(now - KEPT_SECONDS)
        with client.pipeline(transaction=True) as pipeline:
            taken.queue_on(pipeline, self._namespace, now)
            if not len(pipeline):
                return
            try:
                with translate_redis_errors():
                    pipeline.execute()
            except BrokerUnavailable as exc:
                if isinstance(exc.__cause__, redis.ConnectionError | redis.TimeoutError):
                    self._take_back(taken)
                raise

    def _take_back(self, taken: Recorded) -> None:
        with self._lock:
            taken.add(self._pending)
            self._pending = taken


class LocalSignals(Signals):
    """For a worker that runs alone: records, and is asked, in one process. Never flushed."""

    def window(
        self, service_types: Iterable[str], seconds: float = WINDOW_SECONDS
    ) -> dict[str, Window]:
        """How each service did in the last seconds."""
        now = self._monotonic()
        with self._lock:
            return {name: self._window(name, now, seconds) for name in service_types}

    def forbidden_streak(self, service_type: str) -> int:
        """How many different contexts were answered 403 since the last other definite outcome."""
        with self._lock:
            streak = self._pending.streaks.get(service_type)
            return len(streak.contexts) if streak else 0

    def _window(self, service_type: str, now: float, seconds: float) -> Window:
        tallies = [
            tally
            for (name, second), tally in self._pending.tallies.items()
            if name == service_type and second >= now - seconds
        ]
        at = self._pending.successes.get(service_type)
        return Window(
            calls=sum(tally.calls for tally in tallies),
            failing=sum(tally.failing for tally in tallies),
            last_success_age_seconds=None if at is None else max(0.0, now - at),
        )


class SharedSignals:
    """What all workers flushed."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def window(
        self, service_types: Iterable[str], seconds: float = WINDOW_SECONDS
    ) -> dict[str, Window]:
        """See `read_window`."""
        return read_window(self._client, self._namespace, service_types, seconds)

    def forbidden_streak(self, service_type: str) -> int:
        """See the function `forbidden_streak`."""
        return forbidden_streak(self._client, self._namespace, service_type)


def read_window(
    client: redis.Redis,
    namespace: str,
    service_types: Iterable[str],
    seconds: float = WINDOW_SECONDS,
) -> dict[str, Window]:
    """How each service did in the last seconds, up to one bucket more, in one round trip.

    Args:
        seconds: at most 115; older buckets are gone.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    names = list(service_types)
    with translate_redis_errors():
        rows = client.eval(READ, 1, f"{namespace}:gate:", seconds, *names)
    return {
        name: Window(calls, failing, max(0.0, float(age)) if age else None)
        for name, (calls, failing, age) in zip(names, rows, strict=True)
    }


def forbidden_streak(client: redis.Redis, namespace: str, service_type: str) -> int:
    """How many different contexts were answered 403 since the last other definite outcome.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    with translate_redis_errors():
        return client.scard(streak_key(namespace, service_type))
