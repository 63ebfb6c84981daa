"""A MongoDB that cannot be reached while calls run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from tests.faults.line import Line, LineFactory, processing_by
from tests.faults.processes import Running
from tests.faults.proxy import Proxy
from tests.recovery import Recovery
from tests.waiting import wait_until, wait_until_past

OUTAGE_SECONDS = 8.0
"""Longer than the lease of a running context, which is 3 s here, and than one try to reach it."""
LATER_SECONDS = 1.5
"""A rescue waits for one lease, and the next sign of life of the worker comes within a second."""


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways of the bridge and of the worker to MongoDB."""

    bridge: Proxy
    worker: Proxy


@pytest.fixture(scope="module")
def ways(mongodb_uri: str) -> Iterator[Ways]:
    with Proxy.before(mongodb_uri) as bridge, Proxy.before(mongodb_uri) as worker:
        yield Ways(bridge, worker)


@pytest.fixture(scope="module")
def line(new_line: LineFactory, mongodb_uri: str, ways: Ways) -> Iterator[Line]:
    """A line that reaches its MongoDB through the proxies; the test itself looks behind them."""
    with new_line() as line:
        line.start_bridge(MONGODB_URI=ways.bridge.through(mongodb_uri))
        yield line


@pytest.fixture(scope="module")
def worker(line: Line, mongodb_uri: str, ways: Ways) -> Running:
    return line.start_worker(
        *(GENERATIVE, ANALYSIS, COMMUNICATION),
        threads=24,
        MONGODB_URI=ways.worker.through(mongodb_uri),
    )


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_no_second_call_for_a_worker_that_lived_without_mongodb(
    line: Line, ways: Ways, worker: Running, recovery: Recovery, how: str
) -> None:
    """It keeps the replies and stores them, and though its leases ended nobody takes its contexts,
    not even while it is a moment later to be back than the bridge."""
    slow = {"latency_seconds": 6}
    running = [
        *line.submit(GENERATIVE, 4, fault=slow),
        *line.submit(ANALYSIS, 4, fault={"latency_seconds": 12}),
        *line.submit(COMMUNICATION, 4, fault=slow),
    ]
    wait_until(lambda: len(processing_by(line, worker, running)) == 12)
    getattr(ways.bridge, how)()
    getattr(ways.worker, how)()
    gone_at = time.monotonic()
    waiting = [*line.submit(GENERATIVE, 10), *line.submit(COMMUNICATION, 10)]
    wait_until_past(gone_at + OUTAGE_SECONDS)
    expired = {"$lt": line.repository.now()}
    assert line.count(running, status="processing", lease__expires_at=expired) == 12
    ways.bridge.mend()
    wait_until_past(time.monotonic() + LATER_SECONDS)
    ways.worker.mend()
    ids = [*running, *waiting]
    with recovery.of(
        f"MongoDB away for {OUTAGE_SECONDS:g} s ({how}), for the worker a moment longer",
        at_most="one try of a server that was away, 7 s, and one lease, 3 s",
        until="all final, what ran and what waited",
    ):
        line.wait_until_final(ids, 60)
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}
    assert {document["fence"] for document in line.documents(running)} == {1}
