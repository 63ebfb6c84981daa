"""Bridges that are killed, stopped, and more than one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from agent.services import ANALYSIS, GENERATIVE
from tests.faults.line import Line, LineFactory
from tests.faults.processes import Running
from tests.faults.proxy import Proxy
from tests.recovery import Recovery
from tests.waiting import wait_until

LEADER_LEASE_SECONDS = 10
ENQUEUE = b"\r\nRPUSH\r\n"
"""Stands in no other command of a bridge."""


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line with one worker and no bridge; no lease runs out here, however busy the machine."""
    with new_line(lease=30) as line:
        line.start_worker(GENERATIVE, ANALYSIS, threads=32)
        yield line


def leads(line: Line, bridge: Running) -> bool:
    """Whether it leads, by MongoDB's word."""
    leader = line.repository.leader()
    return leader is not None and bridge.owns(int(leader["owner"].split(":")[2]))


def test_kill_9_between_claim_and_enqueue_strands_nothing(line: Line, recovery: Recovery) -> None:
    """The next one enqueues what MongoDB says is queued, as soon as it leads."""
    with Proxy.before(line.redis_url) as proxy:
        bridge = line.start_bridge(REDIS_URL=proxy.through(line.redis_url))
        wait_until(lambda: leads(line, bridge))
        proxy.stall_at(ENQUEUE)
        ids = line.submit(GENERATIVE, 12)
        wait_until(lambda: proxy.stalled)
        assert line.count(ids, status="queued") == 12
        assert line.in_broker(GENERATIVE) == 0
        bridge.kill()
    with recovery.of(
        "bridge killed between claim and enqueue, another one started",
        at_most="leader lease, 10 s, and its start",
        until="all final",
    ):
        other = line.start_bridge()
        line.wait_until_final(ids, 30)
    line.assert_sound(ids)
    assert {document["fence"] for document in line.documents(ids)} == {1}
    other.terminate()
    assert other.wait(10) == 0


def test_one_of_two_works_and_the_other_takes_over_within_the_lease(
    line: Line, recovery: Recovery
) -> None:
    """Every context is carried out once, also those that came while nobody led."""
    first = line.start_bridge()
    wait_until(lambda: leads(line, first))
    second = line.start_bridge()
    ids = line.submit(GENERATIVE, 60) + line.submit(ANALYSIS, 60)
    line.wait_until_final(ids, 60)
    assert leads(line, first)
    assert not second.logged("lead.begun")
    first.kill()
    with recovery.of(
        "leading bridge killed, another one stands by",
        at_most=f"leader lease, {LEADER_LEASE_SECONDS} s",
        until="all final that came meanwhile",
    ):
        more = line.submit(GENERATIVE, 20)
        wait_until(lambda: leads(line, second), 2 * LEADER_LEASE_SECONDS)
        line.wait_until_final(more, 30)
    line.assert_sound([*ids, *more])
    assert {document["attempt"] for document in line.documents([*ids, *more])} == {1}
    second.terminate()
    assert second.wait(10) == 0


def test_of_three_bridges_another_one_leads_while_the_leader_is_stopped(
    line: Line, recovery: Recovery
) -> None:
    """One that is stopped past its lease knows by its own clock that it may not work any more,
    whatever it was about to do, and stands by when it goes on; then it leads again in its turn."""
    stopped = line.start_bridge()
    wait_until(lambda: leads(line, stopped))
    others = [line.start_bridge(), line.start_bridge()]
    before = line.submit(GENERATIVE, 30)
    stopped.freeze()
    with recovery.of(
        "leading bridge stopped past its lease (SIGSTOP), two stand by",
        at_most=f"leader lease, {LEADER_LEASE_SECONDS} s",
        until="all final that came before and meanwhile",
    ):
        meanwhile = line.submit(GENERATIVE, 30)
        line.wait_until_final([*before, *meanwhile], 60)
    [leader] = [each for each in others if leads(line, each)]
    stopped.thaw()
    after = line.submit(GENERATIVE, 30)
    line.wait_until_final(after, 60)
    wait_until(lambda: stopped.logged("lead.lost"))
    assert leads(line, leader)
    assert sum(len(each.logged("lead.begun")) for each in [stopped, *others]) == 2
    for each in others:
        each.kill()
    wait_until(lambda: leads(line, stopped), 3 * LEADER_LEASE_SECONDS)
    last = line.submit(GENERATIVE, 30)
    line.wait_until_final(last, 60)
    ids = [*before, *meanwhile, *after, *last]
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}
    stopped.terminate()
    assert stopped.wait(10) == 0


def test_a_bridge_that_is_told_to_stop_again_and_again_ends_well(line: Line) -> None:
    """Also by a signal that comes while Python itself ends."""
    bridge = line.start_bridge()
    wait_until(lambda: _has_ended_by_then(bridge), 10, interval=0.001)
    assert bridge.wait(10) == 0


def _has_ended_by_then(bridge: Running) -> bool:
    """Whether it had when it was told to stop."""
    with suppress(ProcessLookupError, AssertionError):  # as its group is looked for
        bridge.terminate()
    return not bridge.handle.alive
