"""A MongoDB that is away for longer than a service's timeout and any lease."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from tests.faults.line import Line, LineFactory, processing_by
from tests.faults.processes import Running
from tests.faults.proxy import Proxy
from tests.recovery import Recovery
from tests.waiting import wait_until, wait_until_past

SERVICES = (GENERATIVE, ANALYSIS, COMMUNICATION)
LEASE_SECONDS = 6


@pytest.fixture(scope="module")
def proxy(mongodb_uri: str) -> Iterator[Proxy]:
    """Between the whole line and its MongoDB."""
    with Proxy.before(mongodb_uri) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def line(new_line: LineFactory, mongodb_uri: str, proxy: Proxy) -> Iterator[Line]:
    with new_line(lease=LEASE_SECONDS, MONGODB_URI=proxy.through(mongodb_uri)) as line:
        line.start_bridge()
        yield line


@pytest.fixture(scope="module")
def worker(line: Line) -> Running:
    return line.start_worker(*SERVICES, threads=48)


@pytest.mark.parametrize(("seconds", "how"), [(20, "stall"), (90, "cut")])
def test_no_second_call_for_a_worker_that_lived_through_a_long_outage(
    line: Line, proxy: Proxy, worker: Running, recovery: Recovery, *, seconds: int, how: str
) -> None:
    """Calls end while MongoDB is away, and after; all their replies are stored."""
    running = [
        context_id
        for service in SERVICES
        for latency in (4, 17)
        for context_id in line.submit(service, 3, fault={"latency_seconds": latency})
    ]
    wait_until(lambda: len(processing_by(line, worker, running)) == len(running))
    getattr(proxy, how)()
    gone_at = time.monotonic()
    waiting = [each for service in SERVICES for each in line.submit(service, 10)]
    wait_until_past(gone_at + seconds)
    expired = {"$lt": line.repository.now()}
    assert line.count(running, status="processing", lease__expires_at=expired) == len(running)
    proxy.mend()
    ids = [*running, *waiting]
    with recovery.of(
        f"MongoDB away for {seconds} s",
        at_most=f"one try of a server that was away, 7 s, and one lease, {LEASE_SECONDS} s",
        until="all final, what ran and what waited",
    ):
        line.wait_until_final(ids, 60)
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}
    assert {document["fence"] for document in line.documents(running)} == {1}
