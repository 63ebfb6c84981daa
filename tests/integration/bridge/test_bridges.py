"""Whole bridges, two of them on one system: one works, the other one takes over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from agent.projections.connection import connect_redis
from agent.projections.doorbell import ring
from agent.services import GENERATIVE
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from bridge import __main__ as module
from bridge import doorbell, rounds
from bridge.__main__ import Bridge
from tests.factories import a_context, foreign
from tests.integration.bridge.stage import Stage
from tests.servers import RedisServer
from tests.waiting import wait_until

LEASE = timedelta(seconds=1.5)
NewBridge = Callable[..., Bridge]


@pytest.fixture
def new_bridge(bridge_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewBridge]:
    """Starts bridges in a hurry; those that still run end with the test."""
    for name, value in {
        "LEADER_LEASE": LEASE, "LEAD_SECONDS": 0.5, "RECOVERY_SECONDS": 0.2, "RESCUE_SECONDS": 0.2
    }.items():  # fmt: skip
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(doorbell, "STREAM_RETRY_SECONDS", 0.1)
    with ExitStack() as stack:

        def start(*, deaf: bool = False, poll_interval: float = 0.05) -> Bridge:
            settings = bridge_settings.model_copy(update={"poll_interval": poll_interval})
            repository = MongoContextRepository.connect(settings)
            stack.callback(repository.close)
            client = connect_redis(settings, max_connections=8, name="bridge")
            stack.callback(client.close)
            if deaf:
                monkeypatch.setattr(repository, "watch_inserts", lambda *_: False)
            repository.now()
            bridge = Bridge(settings, repository, client)
            bridge.start()
            stack.callback(stop, bridge)
            return bridge

        yield start


def stop(bridge: Bridge) -> None:
    """End it, unless the test did."""
    if bridge._scheduler.running:
        bridge.stop()


def leads(bridge: Bridge) -> bool:
    return bridge._leadership.leads


def wait_for_lead(*bridges: Bridge) -> Bridge:
    """The one that leads."""
    return wait_until(lambda: next(filter(leads, bridges), None))  # type: ignore[return-value]


def test_one_of_two_bridges_works(stage: Stage, new_bridge: NewBridge) -> None:
    """Each context is enqueued once; the other one stands by."""
    first, second = new_bridge(), new_bridge()
    leader = wait_for_lead(first, second)
    stage.beat()
    stage.insert(*(f"ctx_{number}" for number in range(9)))
    wait_until(lambda: len(stage.waiting(GENERATIVE)) == 9)
    assert [leads(first), leads(second)].count(True) == 1
    found = stage.repository.leader()
    assert found is not None
    assert found["owner"] == leader.owner
    assert len(set(stage.ids_waiting(GENERATIVE))) == 9


def test_one_that_ends_hands_over_at_once(stage: Stage, new_bridge: NewBridge) -> None:
    """The other one need not wait for its lease; nothing is enqueued twice."""
    first = new_bridge()
    wait_for_lead(first)
    stage.beat()
    stage.insert("before")
    wait_until(lambda: stage.ids_waiting(GENERATIVE) == ["before"])
    second = new_bridge()
    first.stop()
    assert not leads(first)
    wait_for_lead(second)
    stage.beat()
    stage.insert("after")
    wait_until(lambda: stage.ids_waiting(GENERATIVE) == ["before", "after"])


def test_one_that_falls_silent_is_followed_by_the_other(
    stage: Stage, new_bridge: NewBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which also enqueues again what the first one may have claimed and not enqueued."""
    first = new_bridge()
    wait_for_lead(first)
    second = new_bridge()
    stage.insert("left")
    stage.repository.claim("GENERATIVE", calls=1, lease=timedelta(seconds=90), owner=first.owner)
    monkeypatch.setattr(first._leadership, "step", lambda: None)
    wait_for_lead(second)
    assert not leads(first)
    wait_until(lambda: "left" in stage.ids_waiting(GENERATIVE))


@pytest.mark.parametrize("by", ["change stream", "doorbell", "polling"])
def test_what_comes_is_enqueued_soon(stage: Stage, new_bridge: NewBridge, by: str) -> None:
    """By news from either side, or by looking: each alone is enough."""
    polls = 0.05 if by == "polling" else 60.0
    bridge = new_bridge(deaf=by != "change stream", poll_interval=polls)
    wait_for_lead(bridge)
    assert bridge._doorbell._listener.wait_until_connected(10)
    stage.beat()
    if by == "change stream":  # it may still be opening
        for number in range(50):
            stage.insert(f"ctx_{number}")
            if _enqueued(stage):
                break
    else:
        stage.insert("ctx_0")
        if by == "doorbell":
            ring(stage.client, stage.settings.namespace)
    wait_until(lambda: stage.waiting(GENERATIVE))


def _enqueued(stage: Stage) -> bool:
    try:
        return bool(wait_until(lambda: stage.waiting(GENERATIVE), timeout=0.5))
    except AssertionError:
        return False


@pytest.mark.parametrize("by", ["doorbell", "polling"])
def test_a_step_begins_when_the_one_before_it_has_ended(
    stage: Stage, new_bridge: NewBridge, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once where its worker rings, and else by looking."""
    monkeypatch.setattr(rounds, "IDLE_SETTLE_SECONDS", 0.2 if by == "polling" else 600.0)
    bridge = new_bridge(deaf=True, poll_interval=0.05 if by == "polling" else 60.0)
    wait_for_lead(bridge)
    assert bridge._doorbell._listener.wait_until_connected(10)
    stage.beat()
    ended = {"_id": "req_a", "status": "completed", "parent_id": "req", "step": "a"}
    waiting = {"_id": "req_b", "status": "waiting", "parent_id": "req", "step": "b"}
    stage.repository.insert_contexts(
        [
            a_context(_id="req", kind="parent", status="processing", total=2, steps=["a", "b"]),
            a_context(**waiting, after=["req_a"]),
            a_context(**ended, unsettled={"at": stage.repository.now(), "token": "t"}),
        ]
    )
    if by == "doorbell":
        ring(stage.client, stage.settings.namespace, "settle")
    wait_until(lambda: stage.ids_waiting(GENERATIVE) == ["req_b"])


def test_documents_of_other_programs_are_adopted_and_enqueued(
    stage: Stage, new_bridge: NewBridge
) -> None:
    """Heard of by the change stream, or found by looking."""
    wait_for_lead(new_bridge())
    stage.beat()
    stage.repository.contexts.insert_one(foreign(_id="them"))
    wait_until(lambda: stage.ids_waiting(GENERATIVE) == ["them"])


def test_a_redis_that_lost_everything_is_filled_again(
    stage: Stage, new_bridge: NewBridge, redis_server: RedisServer
) -> None:
    """Within moments, by the running bridge."""
    wait_for_lead(new_bridge())
    stage.beat()
    stage.insert(*(f"ctx_{number}" for number in range(5)))
    wait_until(lambda: len(stage.waiting(GENERATIVE)) == 5)
    wait_until(lambda: stage.client.exists(f"{stage.settings.namespace}:epoch"))
    redis_server.flush()
    wait_until(lambda: sorted(set(stage.ids_waiting(GENERATIVE))) == [f"ctx_{n}" for n in range(5)])


def test_what_nobody_fetched_comes_back_by_its_lease(stage: Stage, new_bridge: NewBridge) -> None:
    """A lease that ran out is rescued once the leader has waited one."""
    stage.insert("lost")
    stage.repository.claim("GENERATIVE", calls=1, lease=timedelta(0), owner="bridge:0")
    wait_for_lead(new_bridge())
    wait_until(
        lambda: (
            stage.repository.find_context("lost")["fence"] > 1
            or stage.repository.find_context("lost")["status"] == "pending"
        )
    )
