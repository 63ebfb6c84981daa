"""A Redis that loses everything, goes away, or holds what it should not."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from dramatiq import Message

from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from tests.faults.line import Line, LineFactory
from tests.faults.processes import Running
from tests.faults.proxy import Proxy
from tests.recovery import Recovery
from tests.servers import RedisServer
from tests.waiting import wait_until, wait_until_past

OUTAGE_SECONDS = 8.0


@pytest.fixture(scope="module")
def proxy(own_redis: RedisServer) -> Iterator[Proxy]:
    """Between the line and its Redis."""
    with Proxy.before(own_redis.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def line(new_line: LineFactory, own_redis: RedisServer, proxy: Proxy) -> Iterator[Line]:
    """A line that reaches its Redis through the proxy; the test itself looks behind it."""
    with new_line(lease=30, redis=own_redis.url, REDIS_URL=proxy.through(own_redis.url)) as line:
        line.start_bridge()
        yield line


@pytest.fixture(scope="module")
def worker(line: Line) -> Running:
    """One that takes 200 at once."""
    return line.start_worker(GENERATIVE, threads=200)


@pytest.fixture(scope="module")
def other(line: Line) -> Running:
    """One for what takes its time."""
    return line.start_worker(ANALYSIS, COMMUNICATION, threads=16)


def test_flushall_with_200_queued_delays_them_by_seconds_only(
    line: Line, worker: Running, recovery: Recovery
) -> None:
    """What MongoDB says is queued is enqueued again, and none is carried out twice."""
    wait_until(lambda: line.client.exists(f"{line.settings.namespace}:epoch"))
    worker.freeze()  # so that they are queued, all of them, for as long as the test wants
    ids = line.submit(GENERATIVE, 200)
    wait_until(lambda: line.count(ids, status="queued") == 200)
    assert left_after_flushall(line) == 0
    with recovery.of("FLUSHALL with 200 queued", at_most="the next look, 2 s", until="all final"):
        worker.thaw()
        line.wait_until_final(ids, 15)
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}


def test_a_message_that_cannot_be_read_does_not_strand_its_batch(
    line: Line, worker: Running
) -> None:
    """It is put aside with the dead letters, and the others of its batch are carried out."""
    queue = f"{line.settings.dramatiq_namespace}:generative"
    worker.freeze()
    ids = line.submit(GENERATIVE, 10)
    wait_until(lambda: line.in_broker(GENERATIVE) == 10)
    bad = {
        "garbage": b"\xff\xfe no message",
        "other": message("other", "ctx_1", 1, "claim", queue="analysis"),
        "short": message("short", "ctx_1", 1),
        "fence": message("fence", "ctx_1", "no fence", "claim"),
        "id": message("id", {"$oid": "none"}, 1, "claim"),
    }
    for name, text in bad.items():
        line.client.hset(f"{queue}.msgs", name, text)
    line.client.lpush(queue, *bad)  # before the good ones
    line.witness.dead_letters |= {"garbage", "other"}
    worker.thaw()
    line.wait_until_final(ids, 15)
    line.assert_sound(ids)
    wait_until(lambda: line.client.hlen(f"{queue}.msgs") == 0)
    assert line.client.zrange(f"{queue}.XQ", 0, -1) == ["garbage", "other"]
    assert len(worker.logged("message.bad_arguments")) == 3
    assert len(worker.logged("message.unreadable")) == 2
    more = line.submit(GENERATIVE, 10)
    line.wait_until_final(more, 15)


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_without_redis_calls_go_on_and_all_is_carried_out_after(
    line: Line, proxy: Proxy, other: Running, recovery: Recovery, how: str
) -> None:
    """What ran ends and is stored, what came meanwhile waits, and no call is made twice."""
    running = [
        *line.submit(ANALYSIS, 6, fault={"latency_seconds": 3}),
        *line.submit(COMMUNICATION, 6, fault={"latency_seconds": 3}),
    ]
    wait_until(lambda: line.count(running, status="processing") == 12)
    getattr(proxy, how)()
    gone_at = time.monotonic()
    waiting = line.submit(ANALYSIS, 20) + line.submit(COMMUNICATION, 20)
    line.wait_until_final(running, OUTAGE_SECONDS)
    wait_until_past(gone_at + OUTAGE_SECONDS)
    proxy.mend()
    with recovery.of(
        f"Redis away for {OUTAGE_SECONDS:g} s ({how})",
        at_most="one try of a server that was away, 5 s, and a sign of life of the workers, 2 s",
        until="all final that came meanwhile",
    ):
        line.wait_until_final(waiting, 30)
    line.assert_sound([*running, *waiting])
    assert {document["attempt"] for document in line.documents([*running, *waiting])} == {1}


def left_after_flushall(line: Line) -> int:
    """Empty Redis; how many messages wait right after, before anybody can enqueue them again."""
    with line.client.pipeline(transaction=True) as pipeline:
        pipeline.flushall()
        pipeline.llen(f"{line.settings.dramatiq_namespace}:{GENERATIVE.queue}")
        return int(pipeline.execute()[1])


def message(name: str, *args: object, queue: str = "generative") -> bytes:
    """A message as Dramatiq's Redis broker stores it."""
    options = {"redis_message_id": name}
    whole: Message[None] = Message(queue, queue, args, {}, options)
    return whole.encode()
