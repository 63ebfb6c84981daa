"""Hosts whose clock is two minutes off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from agent.services import ANALYSIS, GENERATIVE
from tests.faults.fake_clock import clock_error, off_by
from tests.faults.line import Line, LineFactory
from tests.waiting import wait_until

OFF = timedelta(minutes=2)
SURELY_OFF = timedelta(minutes=1)
"""Less than two minutes, since the last line of a log may be old."""
DELAY = timedelta(seconds=5)
FIRST_RETRY = timedelta(seconds=1), timedelta(seconds=2)
LATE = timedelta(seconds=30)
"""What a busy machine may add to a delay; a clock that counted would add two minutes."""
MOMENT = timedelta(seconds=0.2)
"""Between the end of a call and the write that says when the next one is due."""


@pytest.fixture
def line(new_line: LineFactory) -> Iterator[Line]:
    with new_line(lease=6) as line:
        yield line


@pytest.mark.parametrize(
    ("bridge_off", "worker_off"),
    [(OFF, -OFF), (-OFF, OFF)],
    ids=["bridge ahead, worker behind", "bridge behind, worker ahead"],
)
def test_a_wrong_clock_takes_no_lease_and_moves_no_delay(
    line: Line, bridge_off: timedelta, worker_off: timedelta
) -> None:
    """Leases, the lead, delays and retries are those of the database's clock: what runs stays with
    its worker, and a bridge that stands by takes no lead that is kept."""
    bridge = line.start_bridge(**off_by(bridge_off))
    wait_until(lambda: bridge.logged("lead.begun"))
    standby = line.start_bridge(**off_by(-bridge_off))
    worker = line.start_worker(GENERATIVE, ANALYSIS, threads=48, **off_by(worker_off))
    assert is_off(clock_error(line, bridge), bridge_off)
    assert is_off(clock_error(line, standby), -bridge_off)
    assert is_off(clock_error(line, worker), worker_off)
    due_at = line.repository.now() + DELAY
    delayed = line.submit(GENERATIVE, 8, available_at=due_at)
    slow = line.submit(ANALYSIS, 8, fault={"latency_seconds": 12})  # longer than the lead's lease
    retried = line.submit(GENERATIVE, 8, fault={"status": 503, "times": 1})
    quick = line.submit(GENERATIVE, 20)
    line.wait_until_final([*delayed, *slow, *retried, *quick], 60)
    line.assert_sound([*delayed, *slow, *retried, *quick])
    once = line.documents([*delayed, *slow, *quick])
    assert {(document["attempt"], document["fence"]) for document in once} == {(1, 1)}
    for document in line.documents(delayed):
        assert timedelta() <= document["started_at"] - due_at < LATE
    for document in line.documents(retried):
        first, second = document["attempts"]
        waited = second["started_at"] - first["finished_at"]
        assert FIRST_RETRY[0] - MOMENT <= waited < FIRST_RETRY[1] + LATE
    assert not standby.logged("lead.begun")
    assert not bridge.logged("lead.lost")


def is_off(error: timedelta, offset: timedelta) -> bool:
    """Whether it has the sign of an offset, and about its size."""
    return SURELY_OFF < (error if offset > timedelta() else -error) < OFF + SURELY_OFF
