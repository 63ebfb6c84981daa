"""A MongoDB that cannot be reached while calls run."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from tests.faults.line import Line, LineFactory, processing_by
from tests.faults.processes import Running
from tests.faults.proxy import Proxy
from tests.waiting import wait_until, wait_until_past

OUTAGE_SECONDS = 8.0
"""Longer than the lease of a running context, which is 3 s here, and than one try to reach it."""


@pytest.fixture(scope="module")
def proxy(mongodb_uri: str) -> Iterator[Proxy]:
    """Between the line and its MongoDB."""
    with Proxy.before(mongodb_uri) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def line(new_line: LineFactory, mongodb_uri: str, proxy: Proxy) -> Iterator[Line]:
    """A line that reaches its MongoDB through the proxy; the test itself looks behind it."""
    with new_line(MONGODB_URI=proxy.through(mongodb_uri)) as line:
        line.start_bridge()
        yield line


@pytest.fixture(scope="module")
def worker(line: Line) -> Running:
    return line.start_worker(GENERATIVE, ANALYSIS, COMMUNICATION, threads=24)


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_no_second_call_for_a_worker_that_lived_without_mongodb(
    line: Line, proxy: Proxy, worker: Running, how: str
) -> None:
    """It keeps the replies and stores them; nobody takes its contexts though their leases ended."""
    slow = {"latency_seconds": 6}
    running = [
        *line.submit(GENERATIVE, 4, fault=slow),
        *line.submit(ANALYSIS, 4, fault={"latency_seconds": 12}),
        *line.submit(COMMUNICATION, 4, fault=slow),
    ]
    wait_until(lambda: len(processing_by(line, worker, running)) == 12)
    getattr(proxy, how)()
    gone_at = time.monotonic()
    waiting = [*line.submit(GENERATIVE, 10), *line.submit(COMMUNICATION, 10)]
    wait_until_past(gone_at + OUTAGE_SECONDS)
    expired = {"$lt": line.repository.now()}
    assert line.count(running, status="processing", lease__expires_at=expired) == 12
    proxy.mend()
    ids = [*running, *waiting]
    line.wait_until_final(ids, 60)
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}
    assert {document["fence"] for document in line.documents(running)} == {1}
