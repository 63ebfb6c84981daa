"""SecantusDB: where its program is, how it is started, how it is asked whether it answers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from agent.embedded.ports import HOST, accepts
from agent.embedded.programs import beside_python, explicit, on_path
from agent.errors import MissingServer

PROGRAM = "secantusd-py"
PROGRAM_VARIABLE = "AGENT_EMBEDDED_MONGODB"
REPLICA_SET = "secantus"
ANSWER_SECONDS = 2.0
"""For one question; whoever waits asks again."""


@dataclass(frozen=True, slots=True)
class MongoDB:
    """A server on MongoDB's wire protocol.

    Args:
        program: what to start; another server with the same arguments may stand in.
        durable: sync every commit to disk. Without it a crash loses acknowledged writes.
    """

    program: Path
    durable: bool = True
    name: str = "mongodb"
    title: str = "SecantusDB"

    def command(self, port: int, data: Path) -> tuple[str, ...]:
        # An empty file of its own: without --config it reads whatever it finds in the user's home.
        config = data.with_name(f"{self.name}.toml")
        config.touch()
        return (
            *(str(self.program), "--config", str(config), "--host", HOST, "--port", str(port)),
            *("--storage-path", str(data)),
            *(("--sync-on-commit",) if self.durable else ()),
        )

    def url(self, port: int) -> str:
        """With the replica set's name: change streams and transactions want one."""
        return f"mongodb://{HOST}:{port}/?replicaSet={REPLICA_SET}"

    def answering_pid(self, port: int) -> int | None:
        """The process that answers there as a primary; None while there is none."""
        if not accepts(port):  # quicker than the driver, which waits half a second between looks
            return None
        milliseconds = round(ANSWER_SECONDS * 1000)
        try:
            with MongoClient[dict[str, object]](
                self.url(port),
                serverSelectionTimeoutMS=milliseconds,
                socketTimeoutMS=milliseconds,
            ) as client:
                if not client.admin.command("hello").get("isWritablePrimary"):
                    return None
                client.admin.command("ping")
                return int(client.admin.command("serverStatus")["pid"])
        except PyMongoError:
            return None


def find_mongodb(program: str | Path | None = None) -> Path:
    """The program to start: the one named, else `AGENT_EMBEDDED_MONGODB`, else SecantusDB's.

    Raises:
        MissingServer: there is none.
    """
    named = program or os.environ.get(PROGRAM_VARIABLE)
    if named:
        return explicit(named, PROGRAM_VARIABLE)
    found = beside_python(PROGRAM) or on_path(PROGRAM)
    if found is None:
        raise MissingServer(
            f"{PROGRAM} (SecantusDB) is not installed: pip install 'agent[embedded]',"
            " or set MONGODB_URI to a MongoDB of your own"
        )
    return found
