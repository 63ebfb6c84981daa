"""The views of retries and dead letters beside a Redis that loses everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.projections.minute_view import read_minutes
from agent.projections.view_pages import DeadView, RetriesView, ViewPages
from agent.services import ANALYSIS, GENERATIVE
from tests.faults.line import Line, LineFactory
from tests.recovery import Recovery
from tests.servers import RedisServer
from tests.waiting import wait_until

SOON = 30.0


@pytest.fixture(scope="module")
def line(new_line: LineFactory, own_redis: RedisServer) -> Iterator[Line]:
    """A line on a Redis that may be emptied."""
    with new_line(redis=own_redis.url) as line:
        line.start_bridge()
        line.start_worker(GENERATIVE, ANALYSIS)
        yield line


def held(view: ViewPages) -> list[tuple[str, object, object, object]]:
    """What a view says: whose, when, why, and how often it failed."""
    return [
        (each.key, each.at, each.error_type, each.failures) for each in view.page(limit=500).entries
    ]


def in_mongodb(line: Line, ids: list[str], when: str) -> list[tuple[str, object, object, object]]:
    """The same by MongoDB."""
    found = []
    for each in line.documents(ids):
        error = each["error"] if when == "completed_at" else each["attempts"][-1]["error"]
        found.append((each["_id"], each[when], error["type"], each["failures"]))
    return sorted(found, key=lambda told: (told[1], told[0]), reverse=when == "completed_at")


def test_after_flushall_the_views_say_again_what_mongodb_holds(
    line: Line, recovery: Recovery
) -> None:
    """Workers put in what they write, within a moment; the bridge builds anew what was lost."""
    namespace = line.settings.namespace
    retries, dead = RetriesView(line.client, namespace), DeadView(line.client, namespace)
    busy = line.submit(GENERATIVE, 10, fault={"retry_after": 600})
    bad = line.submit(ANALYSIS, 10, fault={"status": 422})
    line.wait_until_final(bad, SOON)
    wait_until(lambda: line.count(busy, status="scheduled") > 0, SOON)
    waiting = [each["_id"] for each in line.documents(busy) if each["status"] == "scheduled"]
    wait_until(lambda: len(held(retries)) == len(waiting) and len(held(dead)) == len(bad), SOON)
    before = held(retries), held(dead)
    assert sorted(before[0]) == sorted(in_mongodb(line, waiting, "available_at"))
    assert sorted(before[1]) == sorted(in_mongodb(line, bad, "completed_at"))
    line.client.flushall()
    # others, that have kept nothing of what they read
    retries, dead = RetriesView(line.client, namespace), DeadView(line.client, namespace)
    with recovery.of("FLUSHALL with views", at_most="the next look, 1 s", until="both are equal"):
        wait_until(lambda: (held(retries), held(dead)) == before, SOON)
    assert retries.page().is_exact
    wait_until(
        lambda: sum(read_minutes(line.client, namespace, ["ANALYSIS"])["ANALYSIS"].failed) >= 10
    )
