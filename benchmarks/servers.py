"""The servers of a run: those that the environment names, else embedded ones in a new folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from pymongo import MongoClient

from agent.embedded import EmbeddedServers, Supervisor
from agent.errors import ConfigurationError

QUICK_PROGRAM = "secantusd-rs"
"""The Rust build of the embedded server; it takes the same arguments, and is several times as
fast as the Python one."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the two servers are, which they are, and what becomes of a write when they crash."""

    mongodb_uri: str
    redis_url: str
    mongodb: str
    redis: str
    durability: str
    pids: dict[str, int]
    """Of those that are processes of this machine, started by us."""
    slow: bool
    """Whether MongoDB is the Python server: its claim reads the whole backlog, so that figures are
    more of it than of the system."""

    def described(self) -> dict[str, str]:
        """For people."""
        caution = " - slow: smaller sizes, and figures more of it than of the system"
        return {
            "mongodb": self.mongodb + (caution if self.slow else ""),
            "redis": self.redis,
            "durability": self.durability,
        }


@contextmanager
def running_servers(folder: Path, supervisor: Supervisor, *, durable: bool) -> Iterator[Servers]:
    """Both servers for the time of a run.

    Args:
        durable: an embedded MongoDB syncs each commit to disk before it acknowledges.
    """
    uri, url = os.environ.get("MONGODB_URI"), os.environ.get("REDIS_URL")
    if durable and uri:
        raise ConfigurationError(
            "--durable is for the embedded server; how the one of MONGODB_URI syncs is its own"
        )
    with ExitStack() as stack:
        program = shutil.which(QUICK_PROGRAM)
        if not (uri and url):
            embedded = stack.enter_context(
                EmbeddedServers(
                    folder,
                    durable=durable,
                    appendonly=False,
                    restart=False,
                    mongodb_program=program,
                    supervisor=supervisor,
                )
            )
        pids: dict[str, int] = {}
        if not uri:
            pids["mongodb"] = embedded.mongodb.pid or 0
        if not url:
            pids["redis"] = embedded.redis.pid or 0
        uri_used, url_used = uri or embedded.mongodb_uri, url or embedded.redis_url
        yield Servers(
            mongodb_uri=uri_used,
            redis_url=url_used,
            mongodb=_mongodb(uri_used, QUICK_PROGRAM if program and not uri else None),
            redis=_redis(url_used),
            durability=_durability(durable, own_mongodb=bool(uri), own_redis=bool(url)),
            pids=pids,
            slow=not (uri or program),
        )


def _mongodb(uri: str, program: str | None) -> str:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=10_000) as client:
        build = client.admin.command("buildInfo")
        engine = client.admin.command("serverStatus").get("storageEngine", {}).get("name", "")
    if "secantusVersion" in build:
        return f"{program or 'SecantusDB'} {build['secantusVersion']} (speaks {build['version']})"
    return " ".join(filter(None, ("MongoDB", build["version"], engine)))


def _redis(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        return f"Redis {client.info('server')['redis_version']}"


def _durability(durable: bool, *, own_mongodb: bool, own_redis: bool) -> str:
    mongodb = (
        "as that server is set up"
        if own_mongodb
        else "every commit synced to disk"
        if durable
        else "not synced (a crash may lose acknowledged writes)"
    )
    log = "as that server is set up" if own_redis else "no append-only file"
    return f"MongoDB: w majority, j true, {mongodb}; Redis: {log}"
