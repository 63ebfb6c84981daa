"""Batches while bridges and workers die, and what is cancelled meanwhile: each row counts once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from tests.checker import Plan
from tests.faults.batches import (
    CAMPAIGN,
    MESSAGE,
    SAFE,
    ask,
    assert_delivered_once,
    done,
    ended,
    expanded,
    family,
    items,
)
from tests.faults.line import Line, LineFactory
from tests.faults.web import Web
from tests.recovery import Recovery
from tests.waiting import wait_until

ROWS = 250
NOTE = 40_000
"""Bytes of a row: two hundred of them make a chunk."""
CAMPAIGNS = 40
SLOW = '{"series": [1, 2, 3], "sandbox": {"latency_seconds": 0.1}}'
"""The data of all rows."""


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    with new_line(**SAFE) as line:
        yield line


@pytest.fixture(scope="module")
def web(line: Line) -> Web:
    return Web(line)


@pytest.fixture(autouse=True)
def alone(line: Line) -> Iterator[None]:
    """Each test begins with `web` and the services."""
    yield
    for each in line.processes.running:
        if each.name not in ("sandbox", "web") and each.handle.alive:
            each.kill()
    line.workers.clear()


def test_every_row_takes_effect_once_whoever_is_killed(
    line: Line, web: Web, recovery: Recovery
) -> None:
    """The bridge dies amid the expansion and once more, and workers die and are started again."""
    bridge = line.start_bridge()
    worker = line.start_worker(COMMUNICATION, threads=16)
    batch_id = ask(web, MESSAGE, ROWS, note=NOTE, data=SLOW)
    wait_until(lambda: expanded(line, batch_id), 60, interval=0.002)
    bridge.kill()
    assert 0 < items(line, batch_id) < ROWS
    with recovery.of(
        "bridge killed amid the expansion of a batch, another started",
        at_most="leader lease, 10 s",
        until="all items are there",
    ):
        bridge = line.start_bridge()
        wait_until(lambda: items(line, batch_id) == ROWS, 60)
    wait_until(lambda: done(line, batch_id) > ROWS / 10, 60)
    worker.kill()
    worker = line.start_worker(COMMUNICATION, threads=16)
    before = done(line, batch_id)
    wait_until(lambda: done(line, batch_id) > before, 60)
    bridge.kill()
    worker.kill()
    assert done(line, batch_id) < ROWS
    line.start_bridge()
    line.start_worker(COMMUNICATION, threads=16)
    assert_delivered_once(line, ended(line, batch_id), ROWS)


def test_every_row_of_several_steps_takes_effect_once_whoever_is_killed(
    line: Line, web: Web
) -> None:
    """Likewise with items that are requests of three steps."""
    all_services = (GENERATIVE, ANALYSIS, COMMUNICATION)
    bridge = line.start_bridge()
    worker = line.start_worker(*all_services, threads=16)
    batch_id = ask(web, CAMPAIGN, CAMPAIGNS, data=SLOW)
    wait_until(lambda: done(line, batch_id) > CAMPAIGNS / 10, 60)
    worker.kill()
    bridge.kill()  # amid settling, as likely as not
    assert done(line, batch_id) < CAMPAIGNS
    line.start_bridge()
    line.start_worker(*all_services, threads=16)
    assert_delivered_once(line, ended(line, batch_id), CAMPAIGNS, step="_send")


def test_what_is_cancelled_while_it_is_expanded_ends_and_can_be_completed(
    line: Line, web: Web
) -> None:
    """All rows are counted, no call begins after its end, and a retry carries each out once."""
    line.start_bridge()
    line.start_worker(COMMUNICATION, threads=16)
    batch_id = ask(web, MESSAGE, ROWS, note=NOTE, data=SLOW)
    wait_until(lambda: expanded(line, batch_id), 60, interval=0.002)
    web.change(batch_id, "cancel")
    batch = ended(line, batch_id)
    progress = web.batch(batch_id)["progress"]
    assert (batch["status"], progress["total"], progress["processed"]) == ("cancelled", ROWS, ROWS)
    assert progress["cancelled"] == items(line, batch_id, status="cancelled") > 0
    cancelled = family(line, batch_id)
    line.assert_sound(cancelled, Plan(parks=(), cancelled=cancelled))
    again_at = line.repository.now()
    web.change(batch_id, "retry")
    plan = Plan(parks=(), cancelled=cancelled, retried=cancelled)
    assert_delivered_once(line, ended(line, batch_id), ROWS, plan=plan)
    assert begun_between(line, batch_id, batch["completed_at"], again_at) == []


def begun_between(line: Line, batch_id: str, since: datetime, until: datetime) -> list[datetime]:
    """When attempts began that began then."""
    found = line.documents(family(line, batch_id))
    began = [each["started_at"] for document in found for each in document["attempts"]]
    return [each for each in began if since < each < until]
