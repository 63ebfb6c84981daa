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
