"""Schedules with two bridges that are killed, stopped and started again: each due time fires once.

Intervals of a second come while bridges die; the rest of thirty due times are moved into the past.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.intake.schedule import fired_id, rule_of
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


def expected(line: Line, name: str, begin: datetime) -> list[str]:
    """The ids of all due times since then that the schedule has gone past."""
    due, rule, ids = begin, rule_of(stored(line, name)), []
    while due < stored(line, name)["next_at"]:
        ids.append(fired_id(name, due))
        following = rule.next_after(due)
        assert following is not None
        due = following
    return ids


def test_thirty_due_times_fire_thirty_times_though_bridges_die(
    line: Line, recovery: Recovery
) -> None:
    """A leader is killed while times come, another takes over, ends, and a third goes on."""
    first = line.start_bridge()
    wait_until(lambda: leads(line, first))
    second = line.start_bridge()
    begin = schedule(line, "quick", every_seconds=1, catch_up="all")["next_at"]
    wait_until(lambda: len(fired(line, "quick")) >= FIRST_TIMES, 60)
    assert leads(line, first)
    first.kill()
    seen = len(fired(line, "quick"))
    with recovery.of(
        "leading bridge killed beside a schedule of every second, another one stands by",
        at_most=f"leader lease, {LEADER_LEASE_SECONDS} s",
        until="what was missed has fired",
    ):
        wait_until(lambda: len(fired(line, "quick")) > seen, 6 * LEADER_LEASE_SECONDS)
    assert leads(line, second)
    second.terminate()
    assert second.wait(30) == 0
    third = line.start_bridge()
    wait_until(lambda: len(fired(line, "quick")) >= DUE_TIMES, 90)
    third.terminate()
    assert third.wait(30) == 0
    ids = expected(line, "quick", begin)
    assert len(ids) >= DUE_TIMES
    assert fired(line, "quick") == ids
    assert stored(line, "quick")["fired"] == len(ids)


def test_thirty_mornings_that_passed_are_caught_up_though_the_leader_dies(line: Line) -> None:
    """Each of them once, whoever led; and no other time."""
    bridges = [line.start_bridge() for _ in range(2)]
    leader = wait_until(lambda: next((each for each in bridges if leads(line, each)), None), 30)
    fields: dict[str, Any] = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "paused": True}
    due = schedule(line, "daily", catch_up="all", **fields)["next_at"]
    local = due.astimezone(ZoneInfo("Europe/Berlin")) - timedelta(days=DUE_TIMES)
    begin = local.astimezone(UTC)
    line.database["schedules"].update_one(
        {"_id": "daily"}, {"$set": {"paused": False, "next_at": begin}}
    )
    wait_until(lambda: fired(line, "daily"), 30)
    leader.kill()
    wait_until(lambda: stored(line, "daily")["next_at"] == due, 6 * LEADER_LEASE_SECONDS)
    ids = expected(line, "daily", begin)
    assert len(ids) == DUE_TIMES
    assert fired(line, "daily") == ids
    other = next(each for each in bridges if each is not leader)
    other.terminate()
    assert other.wait(30) == 0
