"""Servers for tests: real ones, each a process of its own on a free port, ended with its test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from pydantic import SecretStr

from agent.embedded import Supervisor
from agent.embedded.mongodb import MongoDB, find_mongodb
from agent.embedded.redis import Redis, find_redis
from agent.embedded.server import Program, Server
from agent.projections.connection import connect_redis
from agent.settings import Settings
from tests.waiting import wait_until


@contextmanager
def running(program: Program, folder: Path) -> Iterator[Server]:
    """A server that nobody starts again when it dies; its data go with it.

    Raises:
        EmbeddedServerFailed: it did not start.
    """
    supervisor = Supervisor()
    server = Server(program, folder, supervisor, restart=False)
    try:
        server.start()
        yield server
    finally:
        supervisor.stop_all()
        shutil.rmtree(folder / program.name, ignore_errors=True)


@contextmanager
def running_mongodb(folder: Path, *, durable: bool = False) -> Iterator[Server]:
    """A MongoDB; `durable` where a test kills it and counts what was acknowledged.

    Raises:
        MissingServer: it is not installed.
    """
    with running(MongoDB(find_mongodb(), durable=durable), folder) as server:
        yield server


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """A Redis that a test may stop, flush and misconfigure.

    Raises:
        MissingServer: it is not installed.
    """
    with running(Redis(find_redis(), appendonly=False), folder) as server:
        yield RedisServer(server)


class RedisServer:
    """A redis-server that keeps nothing: whatever ends it takes all data along."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        """Start it again, empty, on the port that it had."""
        self._server.start()

    def stop(self) -> None:
        """End it as a crash would."""
        self._server.kill()
        wait_until(lambda: not self._server.alive)
        self._server.stop()

    def settings(self) -> Settings:
        """Settings that name this Redis."""
        return Settings(redis_url=SecretStr(self.url))

    def connect(self, max_connections: int = 8) -> redis.Redis:
        """A client of ours, for the namespace `agent`."""
        return connect_redis(self.settings(), max_connections=max_connections, name="test")

    def flush(self) -> None:
        """Empty it."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
