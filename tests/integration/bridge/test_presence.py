"""What bridges tell of themselves in Redis, for the page of bridges."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.errors import BrokerUnavailable
from agent.projections.bridges import Bridges, BridgeView
from bridge import __main__ as module
from bridge.__main__ import Bridge
from tests.integration.bridge.stage import Stage
from tests.integration.bridge.test_bridges import NewBridge, new_bridge, wait_for_lead
from tests.waiting import wait_until

__all__ = ["new_bridge"]

ALWAYS = {"look", "settle", "recovery", "views", "rescue", "schedules", "batches"}
"""Duties that run however little there is to do."""


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come often."""
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.1)


def seen(stage: Stage, bridge: Bridge, that: Callable[[BridgeView], object]) -> BridgeView:
    """What a bridge tells, once it is like that."""
    bridges = Bridges(stage.client, stage.settings.namespace)

    def found() -> BridgeView | None:
        views = {each.owner: each for each in bridges.all()}
        view = views.get(bridge.owner)
        return view if view is not None and that(view) else None

    view = wait_until(found)
    assert view is not None
    return view


def test_the_leader_tells_how_its_jobs_go_and_the_other_one_that_it_stands_by(
    stage: Stage, new_bridge: NewBridge
) -> None:
    """An admission tells, too, what keeps more from starting; one that ends is gone at once."""
    first = new_bridge()
    wait_for_lead(first)
    second = new_bridge()
    stage.insert("ctx_1", "ctx_2")  # one of them is enqueued all the same
    seen(stage, first, lambda each: each.bounds.get("GENERATIVE") == "no worker is alive for it")
    view = seen(
        stage,
        first,
        lambda each: {duty.name for duty in each.duties} >= {*ALWAYS, "admit", "adopt"},
    )
    assert (view.leads, view.listens, view.is_alive) == (True, True, True)
    duties = {duty.name: duty for duty in view.duties}
    assert all(duty.error is None for duty in duties.values())
    assert 0 <= (duties["look"].took_seconds or 0) < 5
    assert (duties["look"].every_seconds, duties["admit"].every_seconds) == (0.05, None)
    standby = seen(stage, second, lambda each: each.listens)
    assert (standby.leads, standby.watches, standby.duties, standby.bounds) == (
        False,
        False,
        [],
        {},
    )
    second.stop()
    owners = [each.owner for each in Bridges(stage.client, stage.settings.namespace).all()]
    assert owners == [first.owner]


def test_a_job_that_fails_says_why(stage: Stage, new_bridge: NewBridge) -> None:
    """For as long as it fails, and what it was when it is well again."""
    bridge = new_bridge()
    wait_for_lead(bridge)
    well = bridge._rounds._admit.run

    def fail() -> float | None:
        raise BrokerUnavailable("Redis: redis://:hush@host refused")

    bridge._rounds._admit.run = fail  # type: ignore[method-assign]
    stage.insert("ctx_1", "ctx_2")
    view = seen(stage, bridge, lambda each: any(duty.is_failing for duty in each.duties))
    [failing] = [duty for duty in view.duties if duty.error]
    assert (failing.name, failing.error) == ("admit", "Redis: redis://***@host refused")
    bridge._rounds._admit.run = well  # type: ignore[method-assign]
    view = seen(stage, bridge, lambda each: not any(duty.is_failing for duty in each.duties))
    assert [duty.name for duty in view.duties if duty.error] == ["admit"]
