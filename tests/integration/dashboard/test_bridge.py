"""The page of bridges: who leads, who stands by, and how the leader's duties go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis

from agent.errors import BrokerUnavailable
from agent.projections.bridges import Bridges, BridgeView, DutyView
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.dashboard.conftest import Person

HOSTILE = "<script>alert(1)</script>"
DUTIES = [
    DutyView("sweep", 100.0, 0.2, every_seconds=10),
    DutyView("admit", 0.4, 0.0123),
    DutyView("rescue", 2.0, 0.0, 5, "MongoDB: no answer", 2.0),
    DutyView("newer", 1.0, 0.1, None, HOSTILE, 50.0),
]


@pytest.fixture
def bridges(client: redis.Redis, settings: Settings, repository: MongoContextRepository) -> Bridges:
    """One that leads, and one that stands by."""
    repository.lead("bridge:a:1", timedelta(seconds=60))
    bridges = Bridges(client, settings.namespace)
    bridges.beat(a_bridge("bridge:a:1", "host-a", duties=DUTIES))
    bridges.beat(a_bridge("bridge:b:2", "host-b", leads=False, listens=False, watches=False))
    return bridges


def a_bridge(owner: str, host: str, **fields: Any) -> BridgeView:
    told = {"leads": True, "listens": True, "watches": True, **fields}
    return BridgeView(owner, host, 7, "1.2", "2030-01-01T00:00:00+00:00", **told)


@pytest.mark.usefixtures("bridges")
def test_each_job_says_when_it_last_ran_and_what_went_wrong(operator: Person) -> None:
    """The weightiest first; what comes by itself and has not come is late."""
    text = operator.get("/bridge").text
    duties = text.split("<h2>Its duties</h2>")[1].split("</table>")[0]
    names = ["admit", "rescue", "sweep", "newer"]
    assert sorted(names, key=lambda each: duties.index(f'scope="row">{each} ')) == names
    rows = {name: duties.split(f'scope="row">{name} ')[1].split("</tr>")[0] for name in names}
    assert "12 ms" in rows["admit"]
    assert "none" in rows["admit"]
    assert "failing" in rows["rescue"]
    assert "MongoDB: no answer" in rows["rescue"]
    assert "&lt; 1 ms" in rows["rescue"]
    assert "ago, late" in rows["sweep"]
    assert "failing" not in rows["newer"]
    assert HOSTILE not in text


@pytest.mark.usefixtures("bridges")
def test_the_leader_is_told_from_those_that_stand_by(operator: Person) -> None:
    """With its doorbell; who leads is for MongoDB to say."""
    leader, _, others = operator.get("/bridge").text.partition("<h2>Standing by</h2>")
    assert "bridge:a:1" in leader
    assert leader.count('<span class="status open">on</span>') == 2
    assert "host-b" not in leader
    assert "host-b" in others.partition("</table>")[0]
    assert "host-a" not in others


def test_one_that_falls_silent_stands_by_no_more(
    operator: Person, bridges: Bridges, client: redis.Redis, settings: Settings
) -> None:
    """For a while it is said that there was one."""
    client.zincrby(f"{settings.namespace}:bridges", -30, "bridge:b:2")
    others = operator.get("/bridge").text.partition("<h2>Standing by</h2>")[2]
    assert "No other bridge is alive." in others
    assert "Fell silent lately: host-b" in others
    bridges.leave("bridge:b:2")
    assert "host-b" not in operator.get("/bridge").text


@pytest.mark.usefixtures("bridges")
def test_without_redis_the_page_still_says_who_leads(
    operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And why it says no more."""

    def away(_: Bridges) -> list[BridgeView]:
        raise BrokerUnavailable("Redis: no answer")

    monkeypatch.setattr(Bridges, "all", away)
    text = operator.get("/bridge").text
    assert "bridge:a:1" in text
    assert "Redis does not answer" in text
    assert "Its duties" not in text
