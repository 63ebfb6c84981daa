"""A MongoDB that answers slowly, and one that steps down."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from pymongo import MongoClient

from agent.embedded.server import Server
from agent.models import Document
from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from tests.faults.line import LineFactory
from tests.faults.load import Load
from tests.faults.proxy import Proxy
from tests.recovery import Recovery
from tests.servers import running_mongodb
from tests.waiting import wait_until

SERVICES = (GENERATIVE, ANALYSIS, COMMUNICATION)
LEASE_SECONDS = 6
DELAY_SECONDS = 0.4
"""Each way; a beat is due at every third of a lease."""
DOWN_SECONDS = 8
"""Longer than a lease."""


@pytest.fixture
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of its own, since all clients of a server see it step down."""
    with running_mongodb(tmp_path_factory.mktemp("mongodb")) as server:
        yield server


def test_a_slow_mongodb_slows_everything_down_and_costs_no_second_call(
    new_line: LineFactory, mongodb_uri: str
) -> None:
    """Leases are renewed in time, and none is taken from a worker that lives."""
    with Proxy.before(mongodb_uri) as proxy:
        uri = proxy.through(mongodb_uri)
        with new_line(lease=LEASE_SECONDS, MONGODB_URI=uri) as line:
            line.start_bridge()
            line.start_worker(*SERVICES, threads=24)
            proxy.delay(DELAY_SECONDS)
            assert seconds_to_answer(uri) > 2 * DELAY_SECONDS
            ids = [
                context_id
                for service in SERVICES
                for context_id in (
                    *line.submit(service, 4, fault={"latency_seconds": LEASE_SECONDS + 2}),
                    *line.submit(service, 10),
                )
            ]
            line.wait_until_final(ids, 90)
            line.assert_sound(ids)
            assert {document["attempt"] for document in line.documents(ids)} == {1}


def test_a_primary_that_steps_down_costs_no_context_and_no_second_call(
    new_line: LineFactory, mongodb: Server, recovery: Recovery
) -> None:
    """Without a primary nothing is acknowledged; when there is one again work goes on."""
    with new_line(mongodb=mongodb.url, lease=LEASE_SECONDS) as line:
        line.start_bridge()
        line.start_worker(*SERVICES, threads=24)
        running = [
            context_id
            for service in SERVICES
            for context_id in line.submit(service, 3, fault={"latency_seconds": 5})
        ]
        wait_until(lambda: line.count(running, status="processing") == len(running))
        with Load(lambda: line.submit(GENERATIVE, 2)) as load:
            load.wait_for_more(20)
            step_down(mongodb)
            load.wait_for_refusal()
            before = list(load.acknowledged)
            wait_until(lambda: is_primary(mongodb), DOWN_SECONDS + 20)
            with recovery.of(
                f"primary of MongoDB stepped down for {DOWN_SECONDS} s, from then on",
                at_most=f"one try of a server that was away, 7 s, and one lease, {LEASE_SECONDS} s",
                until="all final, what ran and what was acknowledged before",
            ):
                line.wait_until_final([*running, *before], 60)
            load.wait_for_more(20)
        ids = [*running, *load.acknowledged]
        line.wait_until_final(ids, 60)
        line.assert_sound(ids)
        assert {document["attempt"] for document in line.documents(ids)} == {1}


def seconds_to_answer(uri: str) -> float:
    """How long one question takes, on a connection that is there."""
    with MongoClient[Document](uri, serverSelectionTimeoutMS=20_000) as client:
        client.admin.command("ping")
        asked_at = time.monotonic()
        client.admin.command("ping")
        return time.monotonic() - asked_at


def step_down(server: Server) -> None:
    """Have the only member be no primary for a while."""
    with direct(server) as client:
        client.admin.command(
            "replSetStepDown", DOWN_SECONDS, secondaryCatchUpPeriodSecs=1, force=True
        )
    assert not is_primary(server)


def is_primary(server: Server) -> bool:
    """Whether it takes writes, by its own word."""
    with direct(server) as client:
        return bool(client.admin.command("hello")["isWritablePrimary"])


def direct(server: Server) -> MongoClient[Document]:
    """A client that also talks to one that is no primary."""
    return MongoClient(server.url.partition("?")[0], directConnection=True)
