"""Servers that are killed, and a Redis that loses what it held."""

from __future__ import annotations

import redis

from agent.embedded.ports import accepts
from agent.embedded.server import Server
from tests.nemesis.injection import Injection
from tests.waiting import wait_until

MARK = "nemesis:mark"
"""Lies in Redis while that has kept its data."""

LOG_MS = 10_000
"""How long its log may take."""


class ServerKilled(Injection):
    """SIGKILL to a server; a while later it is there again, on its port, with its data."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def begin(self) -> None:
        assert self._server.alive
        self._server.kill()
        wait_until(lambda: not self._server.alive)

    def has_struck(self) -> bool:
        return not accepts(self._server.port)

    def end(self) -> None:
        self._server.start()


class RedisKilled(ServerKilled):
    """The same of a Redis, whose data is there afterwards, or is not.

    Args:
        keeps_data: whether its disk is still there.
    """

    def __init__(self, server: Server, client: redis.Redis, *, keeps_data: bool) -> None:
        super().__init__(server)
        self._server, self._client, self._keeps_data = server, client, keeps_data

    def begin(self) -> None:
        """Kill it once the mark is in its log, whose writing a busy disk puts off by up to 2 s."""
        self._client.set(MARK, "1")
        on_disk, _ = self._client.waitaof(1, 0, LOG_MS)
        assert on_disk, f"Redis wrote nothing to its log for {LOG_MS} ms"
        super().begin()

    def end(self) -> None:
        self._server.restart(keep_data=self._keeps_data)
        kept = bool(self._client.exists(MARK))
        assert kept == self._keeps_data, "Redis has data that it was to lose, or the reverse"


class RedisFlushed(Injection):
    """FLUSHALL.

    Args:
        client: one that goes there directly.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def begin(self) -> None:
        self._client.set(MARK, "1")
        self._client.flushall()

    def has_struck(self) -> bool:
        return not self._client.exists(MARK)

    def end(self) -> None:
        """What is lost is lost."""
