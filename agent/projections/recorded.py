"""What a process recorded and has not flushed yet, and how a flush puts it on a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

from redis.client import Pipeline

from agent.projections.counters import Counters

BUCKET_SECONDS = 5
KEPT_SECONDS = 120
"""How long a bucket lives in Redis, and a tally in memory while Redis is away."""
SUCCESS_KEPT_SECONDS = 24 * 3600
STREAK_KEPT_SECONDS = 3600
MAX_STREAK = 100
"""Context ids that a streak holds in memory; the gate asks whether there are five."""

WRITE = f"""
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local first_success = 2 + 4 * tonumber(ARGV[1])
for i = 2, first_success - 1, 4 do
  local bucket = math.floor((now - tonumber(ARGV[i + 1])) / {BUCKET_SECONDS})
  local key = KEYS[1] .. ARGV[i] .. string.format(':%d', bucket)
  redis.call('HINCRBY', key, 'calls', ARGV[i + 2])
  redis.call('HINCRBY', key, 'failing', ARGV[i + 3])
  redis.call('EXPIRE', key, {KEPT_SECONDS})
end
for i = first_success, #ARGV, 2 do
  local key = KEYS[1] .. ARGV[i]
  local at = now - tonumber(ARGV[i + 1])
  if at > tonumber(redis.call('HGET', key, 'last_success_at') or '0') then
    redis.call('HSET', key, 'last_success_at', string.format('%.6f', at))
    redis.call('EXPIRE', key, {SUCCESS_KEPT_SECONDS})
  end
end
"""


@dataclass(slots=True)
class Tally:
    """The calls of one second."""

    calls: int = 0
    failing: int = 0


@dataclass(slots=True)
class Streak:
    """403s since the last flush; `broken` when another outcome came before them."""

    broken: bool = False
    contexts: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Recorded:
    """What was recorded. Not thread-safe: its owner has the lock."""

    tallies: dict[tuple[str, int], Tally] = field(default_factory=dict)
    """By service type and second of the monotonic clock."""
    successes: dict[str, float] = field(default_factory=dict)
    streaks: dict[str, Streak] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)

    def tally(self, service_type: str, now: float) -> Tally:
        """The tally of this second; a new one lets those too old go."""
        key = (service_type, int(now))
        if key not in self.tallies:
            self.forget_before(now - KEPT_SECONDS)
            self.tallies[key] = Tally()
        return self.tallies[key]

    def forget_before(self, oldest: float) -> None:
        """Drop the tallies that nobody will look at any more."""
        for key in [key for key in self.tallies if key[1] < oldest]:
            del self.tallies[key]

    def note_forbidden(self, service_type: str, context_key: str) -> None:
        """Lengthen the streak by a context, unless it is in it."""
        contexts = self.streaks.setdefault(service_type, Streak()).contexts
        if len(contexts) < MAX_STREAK:
            contexts.add(context_key)

    def add(self, newer: Recorded) -> None:
        """Take over what was recorded after this."""
        for key, tally in newer.tallies.items():
            mine = self.tallies.setdefault(key, Tally())
            mine.calls += tally.calls
            mine.failing += tally.failing
        self.successes |= newer.successes
        for service_type, streak in newer.streaks.items():
            if streak.broken:
                self.streaks[service_type] = streak
            else:
                for context_key in streak.contexts:
                    self.note_forbidden(service_type, context_key)
        self.counters.add(newer.counters)

    def queue_on(self, pipeline: Pipeline, namespace: str, now: float) -> None:
        """Put all of it on a pipeline; times go as ages, counted back from Redis's clock."""
        args: list[str | int | float] = [len(self.tallies)]
        for (service_type, second), tally in self.tallies.items():
            args += [service_type, max(0.0, now - second - 0.5), tally.calls, tally.failing]
        for service_type, at in self.successes.items():
            args += [service_type, max(0.0, now - at)]
        if len(args) > 1:
            pipeline.eval(WRITE, 1, f"{namespace}:gate:", *args)
        for service_type, streak in self.streaks.items():
            key = streak_key(namespace, service_type)
            if streak.broken:
                pipeline.delete(key)
            if streak.contexts:
                pipeline.sadd(key, *streak.contexts)
                pipeline.expire(key, STREAK_KEPT_SECONDS)
        self.counters.queue_on(pipeline, namespace)


def streak_key(namespace: str, service_type: str) -> str:
    """The set of contexts that a service answered 403."""
    return f"{namespace}:gate:{service_type}:forbidden"
