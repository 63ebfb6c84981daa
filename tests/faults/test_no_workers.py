"""A long time without any worker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from agent.services import GENERATIVE
from tests.faults.line import Line, LineFactory
from tests.recovery import Recovery
from tests.waiting import wait_until

MANY = 500
QUEUED = 16
HOUR = timedelta(hours=1)
PROBES = 1
"""Enqueued though no worker shows itself: one a minute, should that view be wrong."""


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    with new_line(lease=10) as line:
        line.start_bridge()
        yield line


def test_after_an_hour_without_workers_the_broker_holds_next_to_nothing(
    line: Line, recovery: Recovery
) -> None:
    """What was queued when the last worker vanished is pending again once its lease has run out,
    and its messages are dropped; a new worker carries all out, once."""
    queue = f"{line.settings.dramatiq_namespace}:{GENERATIVE.queue}"
    last = line.start_worker(GENERATIVE, threads=QUEUED)
    last.freeze()
    ids = line.submit(GENERATIVE, MANY)
    wait_until(lambda: line.count(ids, status="queued") >= QUEUED)
    last.kill()
    wait_until(lambda: not line.presence.live(), 20)
    assert line.in_broker(GENERATIVE) >= QUEUED
    pass_time(line, HOUR)
    wait_until(lambda: line.count(ids, status="queued") <= PROBES, 30)
    wait_until(lambda: line.in_broker(GENERATIVE) <= PROBES, 30)
    assert line.count(ids, status="pending") >= MANY - PROBES
    assert line.client.hlen(f"{queue}.msgs") <= PROBES
    with recovery.of(
        "an hour without workers",
        at_most="a worker's start, and the work of 500",
        until="all final",
    ):
        line.start_worker(GENERATIVE, threads=32)
        line.wait_until_final(ids, 90)
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}
    assert line.in_broker(GENERATIVE) == 0


def pass_time(line: Line, duration: timedelta) -> None:
    """Have every lease begin so much earlier: a clock set ahead, not waited for."""
    contexts = line.database["contexts"]
    for document in contexts.find({"lease.expires_at": {"$type": "date"}}):
        expires_at = document["lease"]["expires_at"]
        contexts.update_one(
            {"_id": document["_id"], "lease.expires_at": expires_at},
            {"$set": {"lease.expires_at": expires_at - duration}},
        )
