"""Schedules with two bridges that are killed, stopped and started again: each due time fires once.

Intervals of a second come while bridges die; the rest of thirty due times are moved into the past.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.intake.schedule import fired_id
from agent.intake.schedules import Schedules, read_schedule
from agent.models import Document
from tests.faults.line import Line, LineFactory
from tests.faults.processes import Running
from tests.recovery import Recovery
from tests.waiting import wait_until

LEADER_LEASE_SECONDS = 10
DUE_TIMES = 30
FIRST_TIMES = 8
REQUEST = {"template": {"service_type": "ANALYSIS", "service_template": {}}}


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line with no bridge."""
    with new_line() as line:
        yield line


def schedule(line: Line, name: str, **fields: Any) -> Document:
    """Store a schedule as the API does, but ring nobody."""
    body = {"name": name, "request": REQUEST, **fields}
    return Schedules.of(line.repository).add(read_schedule(body))


def fired(line: Line, name: str) -> list[str]:
    """The ids of what came of a schedule, in the order of their due times."""
    found = line.database["contexts"].find({"source": "schedule"}, {"_id": 1})
    return sorted(each["_id"] for each in found if each["_id"].startswith(f"sch_{name}@"))


def leads(line: Line, bridge: Running) -> bool:
    """Whether it leads, by MongoDB's word."""
    leader = line.repository.leader()
    return leader is not None and bridge.owns(int(leader["owner"].split(":")[2]))


def stored(line: Line, name: str) -> Document:
    found = line.repository.find_schedule(name)
    assert found is not None
    return found


def test_thirty_due_times_fire_thirty_times_though_bridges_die(
    line: Line, recovery: Recovery
) -> None:
    """A leader is killed while times come, another takes over, ends, and a third goes on."""
    first = line.start_bridge()
    wait_until(lambda: leads(line, first))
    second = line.start_bridge()
    begin = schedule(line, "quick", every_seconds=1, catch_up="all")["next_at"]
    line.repository.client.admin.command("ping")
    wait_until(lambda: len(fired(line, "quick")) >= FIRST_TIMES, 60)
    assert leads(line, first)
    first.kill()
    killed_at = len(fired(line, "quick"))
    with recovery.of(
        "leading bridge killed while a schedule of every second runs, another one stands by",
        at_most=f"leader lease, {LEADER_LEASE_SECONDS} s",
        until="what was missed has fired",
    ):
        wait_until(lambda: leads(line, second), 3 * LEADER_LEASE_SECONDS)
        wait_until(lambda: len(fired(line, "quick")) > killed_at, 30)
    second.terminate()
    assert second.wait(30) == 0
    third = line.start_bridge()
    wait_until(lambda: len(fired(line, "quick")) >= DUE_TIMES, 90)
    line.repository.pause_schedule("quick")
    last = stored(line, "quick")["next_at"]
    count = (last - begin) // timedelta(seconds=1)
    expected = [fired_id("quick", begin + number * timedelta(seconds=1)) for number in range(count)]
    wait_until(lambda: fired(line, "quick")[: len(expected)] == expected)
    third.terminate()
    assert third.wait(30) == 0
    last = stored(line, "quick")["next_at"]
    count = (last - begin) // timedelta(seconds=1)
    assert count >= DUE_TIMES
    assert fired(line, "quick") == [
        fired_id("quick", begin + number * timedelta(seconds=1)) for number in range(count)
    ]
    assert stored(line, "quick")["fired"] == count


def test_thirty_mornings_that_passed_are_caught_up_by_whoever_leads(line: Line) -> None:
    """One by one, in the zone's own time, also over the change of the clock; the leader is killed
    when the first have fired."""
    schedule(line, "daily", cron="30 2 * * *", timezone="Europe/Berlin", catch_up="all", paused=True)
    rule = Schedules.of(line.repository)
    start = datetime(2026, 3, 15, 1, 30, tzinfo=UTC)
    line.database["schedules"].update_one({"_id": "daily"}, {"$set": {"next_at": start}})
    now = line.repository.now()
    assert rule.find("daily")["paused"]
    from agent.intake.schedule import rule_of  # noqa: F401

    assert now > start
