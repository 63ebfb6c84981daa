"""How full the Dramatiq queues are, read from its keys without touching them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import redis

from agent.projections.connection import translate_redis_errors

READ = """
local brokers = redis.call('ZRANGE', KEYS[1] .. ':__heartbeats__', 0, -1)
local reply = {}
for _, queue in ipairs(ARGV) do
  local name = KEYS[1] .. ':' .. queue
  local in_progress = 0
  for _, broker in ipairs(brokers) do
    local acks = KEYS[1] .. ':__acks__.' .. broker .. '.' .. queue
    in_progress = in_progress + redis.call('SCARD', acks)
  end
  reply[#reply + 1] = {
    redis.call('LLEN', name), in_progress, redis.call('ZCARD', name .. '.XQ')
  }
end
return reply
"""
"""A script, since which ack sets there are is known only from the broker ids, read first.

Dramatiq keeps a broker among its heartbeats for as long as it has an ack set.
"""


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue: messages that wait, that a worker has fetched, and that are dead letters."""

    ready: int
    in_progress: int
    dead: int


HOLD = """
local reply = {}
local split = tonumber(ARGV[1])
for i = 2, 1 + split do
  local name = KEYS[1] .. ':' .. ARGV[i]
  local held = 0
  for j = 2 + split, #ARGV do
    held = held + redis.call('SCARD', KEYS[1] .. ':__acks__.' .. ARGV[j] .. '.' .. ARGV[i])
  end
  reply[#reply + 1] = {redis.call('LLEN', name), held}
end
return reply
"""

TAKE_BACK = """
local moved = 0
local split = tonumber(ARGV[1])
for i = 2, 1 + split do
  local name = KEYS[1] .. ':' .. ARGV[i]
  for j = 2 + split, #ARGV do
    local acks = KEYS[1] .. ':__acks__.' .. ARGV[j] .. '.' .. ARGV[i]
    for _, id in ipairs(redis.call('SMEMBERS', acks)) do
      if redis.call('HEXISTS', name .. '.msgs', id) == 1 then
        redis.call('RPUSH', name, id)
        moved = moved + 1
      end
    end
    redis.call('DEL', acks)
  end
end
return moved
"""


def take_back(
    client: redis.Redis,
    dramatiq_namespace: str,
    queues: Iterable[str],
    broker_ids: Iterable[str],
) -> int:
    """Put what dead processes had fetched back into its queue; how many messages.

    Dramatiq does it by itself, after a minute and a lottery. What one of them had started already
    is dropped by its fence when another process tries.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    names, ids = list(queues), list(broker_ids)
    if not ids:
        return 0
    with translate_redis_errors():
        return int(client.eval(TAKE_BACK, 1, dramatiq_namespace, len(names), *names, *ids))


def read_broker_ids(client: redis.Redis, dramatiq_namespace: str) -> set[str]:
    """The ids of all brokers that have fetched messages, as Dramatiq notes them.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    with translate_redis_errors():
        return {str(each) for each in client.zrange(f"{dramatiq_namespace}:__heartbeats__", 0, -1)}


def drop_messages(client: redis.Redis, dramatiq_namespace: str, queue: str) -> None:
    """Empty a queue of which no message can be of use any more.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    name = f"{dramatiq_namespace}:{queue}"
    with translate_redis_errors():
        client.delete(name, f"{name}.msgs")


def read_held(
    client: redis.Redis,
    dramatiq_namespace: str,
    queues: Iterable[str],
    broker_ids: Iterable[str],
) -> dict[str, tuple[int, int]]:
    """Of each queue: messages that wait, and that these brokers have fetched, in one round trip.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    names = list(queues)
    with translate_redis_errors():
        rows = client.eval(HOLD, 1, dramatiq_namespace, len(names), *names, *broker_ids)
    return {name: (row[0], row[1]) for name, row in zip(names, rows, strict=True)}


def read_queues(
    client: redis.Redis, dramatiq_namespace: str, queues: Iterable[str]
) -> dict[str, QueueView]:
    """The queues named, in one round trip; one that does not exist yet is empty.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    names = list(queues)
    with translate_redis_errors():
        rows = client.eval(READ, 1, dramatiq_namespace, *names)
    return {name: QueueView(*row) for name, row in zip(names, rows, strict=True)}
