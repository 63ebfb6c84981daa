"""A Redis whose memory is full: one that refuses writes, and one that drops what it holds."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from agent.services import ANALYSIS, GENERATIVE
from tests.faults.line import Line, LineFactory
from tests.faults.processes import START_SECONDS, Running
from tests.recovery import Recovery
from tests.servers import RedisServer
from tests.waiting import wait_until, wait_until_past

AGENT = Path(sys.executable).with_name("agent")
FEW = 12
"""So many fit into the queue before a worker of 32 threads for two services."""
FULL_SECONDS = 5.0
ROOM_BYTES = 64 * 1024
FILLER = "x" * 1024
MOST_FILLERS = 10_000
UNTOUCHED_SECONDS = 3.0
"""Redis tells by the second when a key was last used."""
QUEUE_LEASE_SECONDS = 50
"""The timeout of the services here, and 30 s."""


@pytest.fixture(scope="module")
def line(new_line: LineFactory, own_redis: RedisServer) -> Iterator[Line]:
    with new_line(redis=own_redis.url, lease=10) as line:
        yield line


@pytest.fixture(scope="module")
def bridge(line: Line, own_redis: RedisServer) -> Iterator[Running]:
    """One that starts while its Redis would evict."""
    with evicting(line):
        yield line.start_bridge()


@pytest.fixture(scope="module")
def worker(line: Line, bridge: Running) -> Running:
    return line.start_worker(GENERATIVE, ANALYSIS, threads=32)


@contextmanager
def evicting(line: Line) -> Iterator[None]:
    """Let it drop what was not used for longest, once its memory is full."""
    line.client.config_set("maxmemory-policy", "allkeys-lru")
    line.client.config_set("maxmemory-samples", 64)
    try:
        yield
    finally:
        line.client.config_set("maxmemory-policy", "noeviction")


@contextmanager
def memory(line: Line, more_bytes: int) -> Iterator[None]:
    """Give it no more memory than it uses now and so many bytes."""
    used = int(line.client.info("memory")["used_memory"])
    line.client.config_set("maxmemory", max(1, used + more_bytes))
    try:
        yield
    finally:
        line.client.config_set("maxmemory", 0)


def refuses(line: Line) -> bool:
    """Whether it takes nothing new."""
    try:
        line.client.set(f"{line.settings.namespace}:probe", "1")
    except redis.OutOfMemoryError:
        return True
    return False


def evict_queue(line: Line, messages: str, kept: str) -> None:
    """Fill the memory until what nobody uses is gone; `kept` is used all the time."""
    with memory(line, ROOM_BYTES):
        for number in itertools.count():
            line.client.touch(kept)
            line.client.set(f"{line.settings.namespace}:filler:{number}", FILLER)
            if not line.client.exists(messages):
                return
            assert number < MOST_FILLERS, "nothing is evicted"


def test_bridge_and_setup_warn_of_a_redis_that_evicts(line: Line, bridge: Running) -> None:
    """Both name the policy, and what to set instead."""
    [told] = bridge.logged("redis.unsuitable")
    with evicting(line):
        setup = line.processes.start("setup", str(AGENT), "setup")
        assert setup.wait(START_SECONDS) == 0
    for text in (told["warning"], setup.log_path.read_text()):
        assert "maxmemory-policy allkeys-lru" in " ".join(text.split())
        assert "set maxmemory-policy noeviction" in " ".join(text.split())


@pytest.mark.usefixtures("worker")
def test_with_its_memory_full_calls_go_on_and_all_is_carried_out_after(
    line: Line, bridge: Running, recovery: Recovery
) -> None:
    """Nothing can be enqueued; contexts wait in MongoDB, and none is called twice."""
    running = line.submit(ANALYSIS, 8, fault={"latency_seconds": 4})
    wait_until(lambda: line.count(running, status="processing") == 8)
    line.client.config_set("maxmemory", 1)
    try:
        assert refuses(line)
        waiting = line.submit(GENERATIVE, 20)
        wait_until(lambda: bridge.logged("enqueue.unknown"))
        assert line.in_broker(GENERATIVE) == 0
        line.wait_until_final(running, 30)
        waiting += line.submit(ANALYSIS, 20)
        wait_until_past(time.monotonic() + FULL_SECONDS)
        assert refuses(line)
    finally:
        line.client.config_set("maxmemory", 0)
    with recovery.of(
        f"Redis out of memory for {FULL_SECONDS:g} s and more (noeviction)",
        at_most="the next look, 2 s, and a sign of life of the workers, 2 s",
        until="all final that came meanwhile",
    ):
        line.wait_until_final(waiting, 30)
    ids = [*running, *waiting]
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}


def test_an_evicted_queue_costs_time_and_no_context(
    line: Line, bridge: Running, worker: Running, recovery: Recovery
) -> None:
    """What lost its message comes back when its lease has run out, and is carried out once."""
    queue = f"{line.settings.dramatiq_namespace}:generative"
    epoch = f"{line.settings.namespace}:epoch"
    worker.freeze()
    ids = line.submit(GENERATIVE, FEW)
    wait_until(lambda: line.count(ids, status="queued") == FEW == line.in_broker(GENERATIVE))
    bridge.freeze()
    wait_until_past(time.monotonic() + UNTOUCHED_SECONDS)
    with evicting(line):
        evict_queue(line, f"{queue}.msgs", epoch)
    assert line.client.exists(epoch)
    assert int(line.client.info("stats")["evicted_keys"]) > 0
    bridge.thaw()
    worker.thaw()
    assert line.count(ids, status="queued") == FEW
    sooner(line, ids, QUEUE_LEASE_SECONDS)
    with recovery.of(
        "a queue evicted by Redis, from the end of the leases on",
        at_most="rescue, 5 s; the lease is the service's timeout and 30 s",
        until="all final",
    ):
        line.wait_until_final(ids, 30)
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}


def sooner(line: Line, ids: Sequence[Any], seconds: float) -> None:
    """Have their leases run out sooner: the clock moved, not waited for."""
    past = timedelta(seconds=seconds)
    for document in line.documents(ids):
        line.database["contexts"].update_one(
            {"_id": document["_id"], "lease.expires_at": document["lease"]["expires_at"]},
            {"$set": {"lease.expires_at": document["lease"]["expires_at"] - past}},
        )
