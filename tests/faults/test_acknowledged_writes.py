"""What the embedded MongoDB's acknowledgement is worth when it is killed.

The client here asks for no journal, as another program's may not; the store's own always does. The
server of the tests then syncs that one write; another one may not care, and loses it all the same.
"""

from __future__ import annotations

import threading
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from agent.embedded.server import Server
from agent.models import Document
from tests.servers import running_mongodb
from tests.waiting import wait_until

WRITERS = 4
ENOUGH = 400
"""Acknowledged writes before it is killed."""
ROUNDS = 4
MOST_ROUNDS = 10
"""A round without any loss is possible; as a rule the first one loses one write in ten."""


def insert_until_it_dies(client: MongoClient[Document], writer: int, noted: list[str]) -> None:
    """Note the id of each document whose insert was acknowledged."""
    number = 0
    while True:
        name = f"{writer}-{number}"
        try:
            client["kept"]["documents"].insert_one({"_id": name, "text": "x" * 200})
        except PyMongoError:
            return
        noted.append(name)
        number += 1


def kill_amid_writes(server: Server) -> list[str]:
    """What had been acknowledged when it died."""
    noted: list[str] = []
    with MongoClient[Document](server.url, serverSelectionTimeoutMS=1000) as client:
        client.drop_database("kept")
        writers = [
            threading.Thread(target=insert_until_it_dies, args=(client, each, noted))
            for each in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        wait_until(lambda: len(noted) >= ENOUGH, 30)
        server.kill()
        wait_until(lambda: not server.alive)
        for writer in writers:
            writer.join()
    return noted


def gone(server: Server, noted: list[str]) -> set[str]:
    """Which of these are not there after it was started again."""
    server.start()
    with MongoClient[Document](server.url) as client:
        found = client["kept"]["documents"].find({}, {"_id": 1})
        return set(noted) - {document["_id"] for document in found}


def lost_in(server: Server, rounds: int) -> tuple[int, int]:
    """How many acknowledged writes are gone, at the first round with any; of how many in all."""
    written = 0
    for _ in range(rounds):
        noted = kill_amid_writes(server)
        written += len(noted)
        if lost := gone(server, noted):
            return len(lost), written
    return 0, written


def test_with_sync_on_commit_every_acknowledged_write_survives_kill_9(tmp_path: Path) -> None:
    """Nothing that a client was told is there is gone, though it did not ask for the journal."""
    with running_mongodb(tmp_path, durable=True) as server:
        lost, written = lost_in(server, ROUNDS)
    assert lost == 0, f"{lost} of {written} are gone"


def test_without_sync_on_commit_acknowledged_writes_are_gone_after_kill_9(tmp_path: Path) -> None:
    """That is why `agent up` and every test that kills MongoDB start it with that option."""
    with running_mongodb(tmp_path, durable=False) as server:
        lost, written = lost_in(server, MOST_ROUNDS)
    assert lost > 0, f"none of {written} is gone: is the option needed at all?"
