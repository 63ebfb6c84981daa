"""What every measurement stands on: servers, a Base service, a database of its own, processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import redis
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from agent.embedded import Handle, Process, Supervisor
from agent.embedded.ports import HOST, accepts, free_port
from agent.models import Document
from agent.settings import Settings
from agent.store.clock import ServerClock
from agent.store.connection import connect, database_of
from agent.store.indexes import INDEXES, create_indexes
from benchmarks.servers import Servers

PROJECT = Path(__file__).resolve().parent.parent
LOG_LINES = 15
STOP_GRACE = timedelta(seconds=25)
"""A worker process has 20 s to finish what it does."""


class Size(NamedTuple):
    """How much is measured: normally, when it shall be quick, and at most on a slow server."""

    full: int
    quick: int
    slow: int | None = None


class BenchmarkFailed(Exception):
    """A measurement did not come to its end; nothing that it found counts."""


@dataclass(frozen=True, slots=True)
class Service:
    """The Base service of one measurement; see `benchmarks.service`."""

    url: str
    handle: Handle
    client: httpx.Client

    def counts(self) -> dict[str, int]:
        """How many calls arrived, and under how many idempotency keys."""
        found: dict[str, int] = self.client.get("/counts").json()
        return found

    def arrivals(self) -> dict[str, float]:
        """When the first call under each key arrived, in seconds since the epoch."""
        found: dict[str, float] = self.client.get("/arrivals").json()
        return found

    def reset(self) -> None:
        self.client.post("/reset")


@dataclass(frozen=True, slots=True)
class Room:
    """One database and one Redis namespace, for one measurement alone."""

    settings: Settings
    client: MongoClient[Document]
    database: Database[Document]
    redis: redis.Redis
    clock: ServerClock


@dataclass
class Bench:
    """What the measurements share.

    Args:
        folder: for logs; the processes' working directory, so that no `.env` of the project counts.
        say: shows progress.
    """

    servers: Servers
    supervisor: Supervisor
    folder: Path
    say: Callable[[str], None]
    quick: bool = False

    def sized(self, size: Size) -> int:
        """The size that suits this run."""
        chosen = size.quick if self.quick else size.full
        return min(chosen, size.slow) if self.servers.slow and size.slow else chosen

    @contextmanager
    def service(self, latency: float = 0.0) -> Iterator[Service]:
        """A Base service that answers after `latency` seconds."""
        port = free_port()
        arguments = ("-m", "benchmarks.service", str(port), str(latency))
        handle = self.start("service", (sys.executable, *arguments), {})
        try:
            self.wait_until(lambda: accepts(port), "the Base service answers", 20, (handle,))
            url = f"http://{HOST}:{port}"
            with httpx.Client(base_url=url, timeout=30) as client:
                yield Service(url, handle, client)
        finally:
            self.supervisor.stop(handle)

    @contextmanager
    def room(self, indexes: Sequence[str] | None = None) -> Iterator[Room]:
        """A database and a namespace of Redis; both gone afterwards.

        Args:
            indexes: the names of those on `contexts` that are wanted; every one if None.
        """
        name = f"bench-{uuid4().hex[:8]}"
        settings = Settings(
            mongodb_uri=self.servers.mongodb_uri,
            mongodb_database=name.replace("-", "_"),
            redis_url=self.servers.redis_url,
            namespace=name,
        )
        clock = ServerClock()
        with (
            connect(settings, clock) as client,
            redis.Redis.from_url(self.servers.redis_url, decode_responses=True) as broker,
        ):
            clock.learn(client)
            database = database_of(client, settings)
            _create_indexes(database, indexes)
            try:
                yield Room(settings, client, database, broker, clock)
            finally:
                self._clear(client, database.name, broker, name)

    def _clear(
        self, client: MongoClient[Document], database: str, broker: redis.Redis, namespace: str
    ) -> None:
        """Leave nothing behind; what fails does not hide why the measurement ended."""
        try:
            client.drop_database(database)
            for key in broker.scan_iter(f"{namespace}*", count=1000):
                broker.unlink(key)
        except (PyMongoError, redis.RedisError) as exc:
            self.say(f"left behind: database {database}, keys {namespace}* ({exc})")

    def start(self, name: str, command: tuple[str, ...], env: Mapping[str, str]) -> Handle:
        """Start a process of this project."""
        log = self.folder / f"{name}.log"
        log.write_bytes(b"")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        process = Process(
            name=name,
            command=command,
            env={"PATH": path, "PYTHONPATH": str(PROJECT), **env},
            cwd=self.folder,
            log_path=log,
            restart=False,
        )
        return self.supervisor.start(process)

    def wait_until(
        self,
        true: Callable[[], Any],
        what: str,
        timeout: float,
        handles: tuple[Handle, ...] = (),
        interval: float = 0.1,
    ) -> None:
        """Wait for something, as long as these processes live.

        Raises:
            BenchmarkFailed: a process ended, or the time was not enough.
        """
        deadline = time.monotonic() + timeout
        while True:
            ended = [handle for handle in handles if not handle.alive]
            if not ended and true():
                return
            if ended or time.monotonic() > deadline:
                why = "a process ended" if ended else f"{timeout:g} s were not enough"
                logs = "".join(map(_last_lines, ended or handles))
                raise BenchmarkFailed(f"waiting until {what}: {why}{logs}")
            time.sleep(interval)

    def stop(self, *handles: Handle) -> None:
        self.supervisor.stop(*handles, grace=STOP_GRACE)


def _create_indexes(database: Database[Document], names: Sequence[str] | None) -> None:
    if names is None:
        create_indexes(database)
        return
    for index in INDEXES:
        if index.collection == "contexts" and index.name in names:
            database["contexts"].create_indexes([index.model()])


def _last_lines(handle: Handle) -> str:
    path = handle.process.log_path
    lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:] if path else []
    return "\n".join((f"\n--- {handle.process.name}:", *lines))
