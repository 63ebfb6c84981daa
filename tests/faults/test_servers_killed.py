"""MongoDB and Redis killed under load, one of them or both, and started again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from agent.embedded.ports import accepts
from agent.embedded.redis import Redis, find_redis
from agent.embedded.server import Server
from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from tests.faults.line import Line, LineFactory
from tests.faults.load import Load
from tests.recovery import Recovery
from tests.servers import running, running_mongodb
from tests.waiting import wait_until

SERVICES = (GENERATIVE, ANALYSIS, COMMUNICATION)
MANY = 40
LEASE_SECONDS = 6
"""Shorter than an outage: a client gives up after 5 s, and the server takes time to start."""


@dataclass(frozen=True, slots=True)
class Killed:
    """Which servers die, and whether Redis comes back with its data.

    Args:
        what: for people.
        at_most: how soon work goes on.
    """

    what: str
    mongodb: bool
    redis: bool
    keeps_data: bool
    at_most: str


KILLED = [
    Killed("mongodb", True, False, True, "its start and one lease, 6 s"),
    Killed("redis", False, True, True, "its start"),
    Killed("redis, its data lost", False, True, False, "its start, and the next look, 2 s"),
    Killed("mongodb and redis", True, True, True, "their start and one lease, 6 s"),
    Killed(
        "mongodb and redis, the data of redis lost",
        *(True, True, False),
        "their start, one lease, 6 s, and the next look, 2 s",
    ),
]


@pytest.fixture(scope="module")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that has on disk what it acknowledges."""
    with running_mongodb(tmp_path_factory.mktemp("mongodb"), durable=True) as server:
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that logs every change."""
    program = Redis(find_redis(), appendonly=True)
    with running(program, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def line(new_line: LineFactory, mongodb: Server, redis: Server) -> Iterator[Line]:
    """A line on these two servers."""
    with new_line(mongodb=mongodb.url, redis=redis.url, lease=LEASE_SECONDS) as line:
        line.start_bridge()
        line.start_worker(*SERVICES, threads=24)
        yield line


def load_of(line: Line) -> Load:
    """Two contexts of one service after the other; every third pair takes a second."""
    turns = itertools.count()

    def submit() -> list[str]:
        turn = next(turns)
        fault = None if turn % 4 else {"latency_seconds": 1}
        return line.submit(SERVICES[turn % 3], 2, fault=fault)

    return Load(submit, pause_seconds=0.2)


def kill(server: Server) -> None:
    """Kill it with no chance to write anything more, and see that nobody listens there."""
    server.kill()
    wait_until(lambda: not server.alive)
    assert not accepts(server.port)


def in_flight(line: Line) -> int:
    return line.database["contexts"].count_documents({"status": "processing"})


@pytest.mark.parametrize("killed", KILLED, ids=[each.what for each in KILLED])
def test_nothing_is_lost_and_nothing_doubled_when_servers_are_killed_under_load(
    line: Line, mongodb: Server, redis: Server, recovery: Recovery, killed: Killed
) -> None:
    """What was acknowledged is carried out once, and calls that ran are not made again."""
    with load_of(line) as load:
        load.wait_for_more(MANY)
        wait_until(lambda: in_flight(line))
        if killed.redis:
            kill(redis)
        if killed.mongodb:
            kill(mongodb)
            load.wait_for_refusal()
        # without Redis they are acknowledged, and wait
        before = list(load.acknowledged) if killed.mongodb else load.wait_for_more(MANY)
        with recovery.of(
            f"{killed.what}: killed and started again",
            at_most=killed.at_most,
            until="all final that was acknowledged before",
        ):
            if killed.mongodb:
                mongodb.start()
            if killed.redis:
                redis.restart(keep_data=killed.keeps_data)
            line.wait_until_final(before, 60)
        load.wait_for_more(MANY)
    ids = load.acknowledged
    line.wait_until_final(ids, 60)
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}
