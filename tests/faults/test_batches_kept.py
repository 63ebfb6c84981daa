"""What is acknowledged of a batch is kept, and nothing else, whoever dies while it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from agent.duties.expand import Expand
from agent.embedded.server import Server
from agent.services import COMMUNICATION
from tests.faults.batches import (
    MESSAGE,
    SAFE,
    ask,
    assert_delivered_once,
    ended,
    expanded,
    items,
    rows,
)
from tests.faults.line import Line, LineFactory
from tests.faults.web import Web
from tests.servers import running_mongodb
from tests.waiting import wait_until

ROWS = 1200
FEW = 250
NOTE = 40_000
"""Bytes of a row: two hundred of them make a chunk."""
KEY = "monday"


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    with new_line() as line:
        yield line


@pytest.fixture(scope="module")
def whole_web(line: Line) -> Web:
    return Web(line)


@pytest.fixture
def web(line: Line, whole_web: Web) -> Iterator[Web]:
    """Which has nothing stored before a test."""
    yield whole_web
    for name in ("contexts", "uploads", "idempotency_keys", "unique_keys"):
        line.database[name].delete_many({})


def batches(line: Line) -> list[str]:
    """The ids of all that are stored."""
    return [each["_id"] for each in line.database["contexts"].find({"kind": "parent"}, {"_id": 1})]


def chunks(line: Line) -> int:
    return line.database["uploads"].count_documents({})


def pass_time(line: Line, past: timedelta = timedelta(minutes=1)) -> None:
    """Who held a key when `web` died is taken to be dead: a clock set ahead."""
    busy = line.repository.now() - past
    line.database["idempotency_keys"].update_many({}, {"$set": {"busy_until": busy}})


def assert_one_batch_comes_of_it(line: Line, web: Web) -> None:
    """Sent again, and then once more."""
    batch_id = ask(web, MESSAGE, ROWS, key=KEY)
    assert ask(web, MESSAGE, ROWS, key=KEY) == batch_id
    assert batches(line) == [batch_id]
    Expand(line.repository).run()
    assert items(line, batch_id) == ROWS


def test_an_upload_in_which_web_is_killed_is_no_batch(line: Line, web: Web) -> None:
    """Some rows were kept, nobody was told of anything; the whole file again makes one batch."""

    def broken_off() -> Iterator[bytes]:
        yield from rows(ROWS)
        wait_until(lambda: chunks(line), 30)
        web.running.kill()
        yield b"1,\n"

    with pytest.raises(httpx.TransportError):
        web.upload(MESSAGE, broken_off(), key=KEY)
    assert batches(line) == []
    assert (
        0
        < chunks(line)
        == line.database["uploads"].count_documents({"expire_at": {"$type": "date"}})
    )  # they go by themselves
    web.restart()
    assert_one_batch_comes_of_it(line, web)


def test_rows_that_are_kept_when_web_is_killed_are_no_batch(line: Line, web: Web) -> None:
    """All rows were there; `web` waits for a unique key, and dies before it stores the batch."""
    now = line.repository.now()
    held = {"holder": "ctx_other", "token": "t", "taken_at": now, "expire_at": now}
    unique, reserved = line.database["unique_keys"], line.database["idempotency_keys"]
    unique.insert_one({"_id": "newsletter", **held})
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(web.upload, MESSAGE, rows(ROWS), key=KEY, unique_key="newsletter")
        wait_until(lambda: reserved.count_documents({}), 60, interval=0.005)
        web.running.kill()
        assert isinstance(asking.exception(60), httpx.TransportError)
    assert (batches(line), chunks(line)) == ([], 2)
    unique.delete_many({})
    pass_time(line)
    web.restart()
    ids = {ask(web, MESSAGE, ROWS, key=KEY, unique_key="newsletter") for _ in range(2)}
    assert ids == set(batches(line))
    Expand(line.repository).run()
    assert items(line, ids.pop()) == ROWS


def test_a_batch_is_expanded_though_mongodb_is_killed_meanwhile(
    new_line: LineFactory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No row of what was acknowledged is lost, and none becomes two items."""
    folder = tmp_path_factory.mktemp("mongodb")
    with (
        running_mongodb(folder, durable=True) as mongodb,
        new_line(mongodb=mongodb.url, lease=6, **SAFE) as line,
    ):
        line.start_bridge()
        batch_id = ask(Web(line), MESSAGE, FEW, note=NOTE)
        wait_until(lambda: expanded(line, batch_id), 60, interval=0.002)
        kill(mongodb)
        mongodb.start()
        line.start_worker(COMMUNICATION, threads=16)
        assert_delivered_once(line, ended(line, batch_id), FEW)


def kill(server: Server) -> None:
    """With no chance to write anything more."""
    server.kill()
    wait_until(lambda: not server.alive)
