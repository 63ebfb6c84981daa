"""The embedded servers, both or one of them, on one data folder."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from agent.embedded.folder import FolderLock
from agent.embedded.mongodb import MongoDB, find_mongodb
from agent.embedded.redis import Redis, find_redis
from agent.embedded.server import Program, Server
from agent.embedded.supervisor import Supervisor
from agent.errors import EmbeddedServerFailed

MONGODB, REDIS = "MongoDB", "Redis"


class EmbeddedServers:
    """MongoDB and Redis for one user of one folder; the same folder again has the same data.

    Args:
        folder: where data, logs and the lock are; made if missing.
        durable: every write of MongoDB is on disk before it is acknowledged.
        appendonly: Redis keeps its data, too.
        restart: start a server again when it dies, on the same port.
        with_mongodb, with_redis: whether each of them is started at all.
        mongodb_program: a program that takes SecantusDB's arguments, in its place.
        redis_program: a redis-server in place of the one that would be found.
        supervisor: what starts them; one of their own if None.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        durable: bool = True,
        appendonly: bool = True,
        restart: bool = True,
        with_mongodb: bool = True,
        with_redis: bool = True,
        mongodb_program: Path | str | None = None,
        redis_program: Path | str | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._folder = Path(folder).absolute()
        self._durable = durable
        self._appendonly = appendonly
        self._restart = restart
        self._with_mongodb = with_mongodb
        self._with_redis = with_redis
        self._mongodb_program = mongodb_program
        self._redis_program = redis_program
        self._supervisor = supervisor or Supervisor()
        self._lock = FolderLock(self._folder)
        self._servers: dict[str, Server] = {}

    @property
    def mongodb(self) -> Server:
        return self._started(MONGODB)

    @property
    def redis(self) -> Server:
        return self._started(REDIS)

    @property
    def mongodb_uri(self) -> str:
        return self.mongodb.url

    @property
    def redis_url(self) -> str:
        return self.redis.url

    def start(self) -> None:
        """Start them, and wait until each answers.

        Raises:
            MissingServer: a program is not installed.
            EmbeddedServerFailed: the folder is in use, or a server did not start.
        """
        programs = self._programs()
        lock = self._lock.acquire()
        self._servers = {
            name: Server(
                program, self._folder, self._supervisor, restart=self._restart, keep_open=(lock,)
            )
            for name, program in programs.items()
        }
        try:
            for server in self._servers.values():
                server.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop them, and let go of the folder. Does nothing when they are not started."""
        for server in reversed(self._servers.values()):
            server.stop()
        self._servers = {}
        self._lock.release()

    def _programs(self) -> dict[str, Program]:
        programs: dict[str, Program] = {}
        if self._with_mongodb:
            programs[MONGODB] = MongoDB(find_mongodb(self._mongodb_program), durable=self._durable)
        if self._with_redis:
            programs[REDIS] = Redis(find_redis(self._redis_program), appendonly=self._appendonly)
        return programs

    def _started(self, name: str) -> Server:
        if name not in self._servers:
            raise EmbeddedServerFailed(f"the embedded {name} is not started")
        return self._servers[name]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
