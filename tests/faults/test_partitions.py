"""A worker or a bridge that is cut off from one of the two servers and not from the other."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from agent.services import ANALYSIS, GENERATIVE
from tests.faults.line import Line, LineFactory, processing_by
from tests.faults.networks import Network, network
from tests.recovery import Recovery
from tests.waiting import wait_until, wait_until_past

LEASE_SECONDS = 6
PARTED_SECONDS = 10.0
"""Longer than the lease of a running context, and than the silence after which a process counts as
dead."""
LEADER_LEASE_SECONDS = 10


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """One with a bridge that reaches everything."""
    with new_line(lease=LEASE_SECONDS) as line:
        yield line


@pytest.fixture(scope="module")
def net(line: Line) -> Iterator[Network]:
    """Where what is to be cut off runs."""
    services = line.sandbox.environment
    with network(line.mongodb_uri, line.redis_url, *services.values()) as net:
        yield net


@pytest.fixture(autouse=True)
def nobody(line: Line) -> Iterator[None]:
    """Each test begins without bridges and workers."""
    yield
    line.stop_workers()
    for each in line.processes.running:
        if each.name == "bridge" and each.handle.alive:
            each.terminate()
            assert each.wait(20) == 0


def ways(line: Line, net: Network) -> dict[str, str]:
    """The environment of a process in there."""
    services = line.sandbox.environment
    return {
        "MONGODB_URI": net.through(line.mongodb_uri),
        "REDIS_URL": net.through(line.redis_url),
        **{name: net.through(url).rstrip("/") for name, url in services.items()},
    }


def test_a_worker_cut_off_from_mongodb_alone_loses_its_contexts_and_writes_nothing_late(
    line: Line, net: Network, recovery: Recovery
) -> None:
    """Another one carries them out, though the first one shows signs of life in Redis; its own
    replies come too late and are dropped."""
    line.start_bridge()
    parted = line.start_worker(GENERATIVE, threads=4, inside=net.inside, **ways(line, net))
    ids = line.submit(GENERATIVE, 4, fault={"latency_seconds": 5})
    wait_until(lambda: len(processing_by(line, parted, ids)) == 4)
    net.part(line.mongodb_uri)
    other = line.start_worker(GENERATIVE, threads=8)
    wait_until(lambda: line.count(ids, **{"attempts__0__outcome": "lost"}) == 4, 30)
    assert line.view_of(parted) is not None
    net.join(line.mongodb_uri)
    with recovery.of(
        "worker cut off from MongoDB alone, and back",
        at_most="parting, 10 s, and the call, 5 s",
        until="all final",
    ):
        line.wait_until_final(ids, 60)
    wait_until(lambda: parted.logged("attempt.stale"))
    line.assert_sound(ids)
    assert other.logged("attempt.ended")
    for document in line.documents(ids):
        assert [each["outcome"] for each in document["attempts"]] == ["lost", "completed"]


def test_a_worker_cut_off_from_redis_alone_keeps_its_contexts(
    line: Line, net: Network, recovery: Recovery
) -> None:
    """It renews and stores in MongoDB as ever; what waits goes to another one, and once back it
    takes part again."""
    line.start_bridge()
    parted = line.start_worker(ANALYSIS, threads=8, inside=net.inside, **ways(line, net))
    running = line.submit(ANALYSIS, 8, fault={"latency_seconds": LEASE_SECONDS + 2})
    wait_until(lambda: len(processing_by(line, parted, running)) == 8)
    net.part(line.redis_url)
    gone_at = time.monotonic()
    line.wait_until_final(running, 30)
    assert {document["attempt"] for document in line.documents(running)} == {1}
    wait_until_past(gone_at + PARTED_SECONDS)
    assert line.view_of(parted) is None
    line.start_worker(ANALYSIS, threads=8)
    waiting = line.submit(ANALYSIS, 20)
    line.wait_until_final(waiting, 30)
    line.stop_workers(but=parted)
    more = line.submit(ANALYSIS, 20)
    net.join(line.redis_url)
    with recovery.of(
        "worker cut off from Redis alone, and back; no other one is there",
        at_most="one try of a server that was away, 5 s, and a sign of life, 2 s",
        until="all final that came meanwhile",
    ):
        line.wait_until_final(more, 60)
    ids = [*running, *waiting, *more]
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}


def test_a_leader_cut_off_from_mongodb_alone_is_followed_by_another_one(
    line: Line, net: Network, recovery: Recovery
) -> None:
    """It stands by when it is back."""
    parted = line.start_bridge(inside=net.inside, **ways(line, net))
    wait_until(lambda: parted.logged("lead.begun"))
    other = line.start_bridge()
    line.start_worker(GENERATIVE)
    before = line.submit(GENERATIVE, 20)
    line.wait_until_final(before, 30)
    net.part(line.mongodb_uri)
    with recovery.of(
        "leading bridge cut off from MongoDB alone",
        at_most=f"leader lease, {LEADER_LEASE_SECONDS} s",
        until="all final that came meanwhile",
    ):
        ids = line.submit(GENERATIVE, 20)
        line.wait_until_final(ids, 60)
    assert other.logged("lead.begun")
    net.join(line.mongodb_uri)
    wait_until(lambda: parted.logged("lead.lost"), 30)
    more = line.submit(GENERATIVE, 20)
    line.wait_until_final(more, 30)
    line.assert_sound([*before, *ids, *more])
    assert {document["attempt"] for document in line.documents([*before, *ids, *more])} == {1}


def test_a_leader_cut_off_from_redis_alone_delays_and_loses_nothing(
    line: Line, net: Network, recovery: Recovery
) -> None:
    """It leads on, by MongoDB's word, and enqueues what waited when it is back."""
    parted = line.start_bridge(inside=net.inside, **ways(line, net))
    wait_until(lambda: parted.logged("lead.begun"))
    line.start_worker(GENERATIVE)
    before = line.submit(GENERATIVE, 20)
    line.wait_until_final(before, 30)
    net.part(line.redis_url)
    ids = line.submit(GENERATIVE, 20)
    wait_until(lambda: parted.logged("round.failed") or parted.logged("enqueue.unknown"), 30)
    net.join(line.redis_url)
    with recovery.of(
        "leading bridge cut off from Redis alone, and back",
        at_most="one try of a server that was away, 5 s, and the next look, 2 s",
        until="all final that came meanwhile",
    ):
        line.wait_until_final(ids, 60)
    line.assert_sound([*before, *ids])
    assert {document["attempt"] for document in line.documents([*before, *ids])} == {1}
