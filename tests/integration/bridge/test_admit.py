"""Admission into a real Redis: what may run soon is enqueued, and no more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from bson import Int64, ObjectId
from pydantic import SecretStr

from agent.embedded.ports import free_port
from agent.errors import BrokerUnavailable
from agent.projections.doorbell import Listener, wake_channel
from agent.services import ANALYSIS, GENERATIVE
from agent.store.mongo_context_repository import MongoContextRepository
from bridge import admit as module
from bridge.room import LEAST_AHEAD
from tests.factories import LONG_AGO, a_lease
from tests.integration.bridge.stage import OWNER, Stage
from tests.waiting import wait_until

GENEROUS = timedelta(seconds=90)
THREADS = 8
ROOM = THREADS + LEAST_AHEAD


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of living workers is read in every round."""
    monkeypatch.setattr(module, "PRESENCE_SECONDS", -1.0)


def names(count: int, prefix: str = "ctx") -> list[str]:
    return [f"{prefix}_{number:02}" for number in range(count)]


def test_living_workers_get_what_they_can_take_and_a_little_ahead(stage: Stage) -> None:
    """In the order of admission; the rest stays in MongoDB, where priority still counts."""
    stage.beat()
    stage.insert(*names(30))
    stage.admit.run()
    assert stage.ids_waiting(GENERATIVE) == names(ROOM)
    assert stage.repository.count_by_status()["GENERATIVE"] == {
        "queued": ROOM, "pending": 30 - ROOM
    }  # fmt: skip


def test_a_message_carries_ids_alone(stage: Stage) -> None:
    """Id, fence and claim, as they stand in MongoDB."""
    stage.beat()
    stage.insert("ctx_1", fence=6)
    stage.admit.run()
    document = stage.repository.find_context("ctx_1")
    assert stage.waiting(GENERATIVE) == [("ctx_1", 7, document["lease"]["claim_id"])]
    assert document["lease"]["owner"] == OWNER
    texts = stage.client.hvals(f"{stage.key(GENERATIVE)}.msgs")
    assert not any("Greet" in text for text in texts)


@pytest.mark.parametrize(
    "context_id",
    [ObjectId(), UUID("12345678-1234-5678-1234-567812345678"), Int64(2**60), 7, {"a": 1, "b": "x"}],
    ids=lambda value: type(value).__name__,
)
def test_an_id_of_any_kind_goes_through_the_broker(stage: Stage, context_id: Any) -> None:
    """And comes out as it was."""
    stage.beat()
    stage.insert(context_id)
    stage.admit.run()
    [found] = stage.ids_waiting(GENERATIVE)
    assert (found, type(found)) == (context_id, type(context_id))


def test_what_they_hold_already_takes_room(stage: Stage) -> None:
    """Waiting in the queue, fetched, or running."""
    stage.beat()
    stage.insert(*names(40))
    stage.admit.run()
    assert len(stage.waiting(GENERATIVE)) == ROOM
    stage.fetch(GENERATIVE, 5)
    for _ in range(3):
        stage.admit.run()
    in_flight = stage.repository.contexts.count_documents({"status": "queued"})
    assert in_flight <= ROOM + THREADS * 4
    assert in_flight - 5 == len(stage.waiting(GENERATIVE))


def test_nothing_piles_up_while_no_worker_is_there(stage: Stage) -> None:
    """One context is enqueued all the same, in case the view is wrong; once a minute."""
    stage.insert(*names(30))
    for _ in range(5):
        stage.admit.run()
    assert stage.ids_waiting(GENERATIVE) == ["ctx_00"]
    assert stage.repository.count_by_status()["GENERATIVE"] == {"queued": 1, "pending": 29}


def test_without_a_worker_messages_are_dropped_once_no_claim_stands(stage: Stage) -> None:
    """Or one a minute would be left behind, for as long as no worker comes."""
    stage.insert(*names(3))
    stage.admit.run()
    stage.admit.run()
    assert stage.ids_waiting(GENERATIVE) == ["ctx_00"]
    stage.repository.cancel("ctx_00")
    stage.admit.run()
    assert stage.ids_waiting(GENERATIVE) == []
    assert not stage.client.exists(f"{stage.key(GENERATIVE)}.msgs")


@pytest.mark.parametrize("state", ["silent", "draining", "elsewhere"])
def test_a_worker_that_takes_nothing_counts_as_none(stage: Stage, state: str) -> None:
    """It fell silent, it is shutting down, or it serves another queue."""
    stage.beat(
        draining=state == "draining",
        service_types=("ANALYSIS",) if state == "elsewhere" else ("GENERATIVE",),
    )
    if state == "silent":
        stage.silence("w1", 8)
    stage.insert(*names(9))
    stage.admit.run()
    assert len(stage.waiting(GENERATIVE)) == 1


def test_a_worker_that_comes_gets_work_at_once(stage: Stage) -> None:
    """Whatever was tried without it."""
    stage.insert(*names(9))
    stage.admit.run()
    stage.beat()
    stage.admit.run()
    assert stage.ids_waiting(GENERATIVE) == names(9)


def test_what_a_dead_process_ran_takes_no_room(stage: Stage) -> None:
    """Its leases run out by themselves."""
    stage.beat()
    lease = a_lease(owner="dead", expires_at=stage.repository.now())
    stage.insert(*names(20, "lost"), status="processing", lease=lease)
    stage.insert(*names(20))
    stage.admit.run()
    assert stage.ids_waiting(GENERATIVE) == names(ROOM)


def test_one_service_without_a_worker_holds_up_no_other(stage: Stage) -> None:
    """Each has its own queue."""
    stage.beat()
    stage.insert(*names(5, "analysis"), service_type="ANALYSIS", priority=1)
    stage.insert(*names(5))
    stage.admit.run()
    assert len(stage.waiting(ANALYSIS)) == 1
    assert stage.ids_waiting(GENERATIVE) == names(5)


def test_a_paused_service_gets_no_message(stage: Stage) -> None:
    """Its contexts wait in MongoDB; resumed, they go."""
    stage.beat()
    stage.insert(*names(5))
    stage.repository.pause_service("GENERATIVE", by="operator", reason="x", until=None)
    stage.admit.run()
    assert stage.waiting(GENERATIVE) == []
    stage.repository.resume_service("GENERATIVE")
    stage.admit.run()
    assert stage.ids_waiting(GENERATIVE) == names(5)


def test_after_a_pause_one_message_finds_out(stage: Stage) -> None:
    """Another context than the one that led to it."""
    stage.beat()
    stage.insert(*names(5))
    stage.repository.pause_service(
        "GENERATIVE", by="retry-after", reason="x", until=LONG_AGO, context_id="ctx_00"
    )
    for _ in range(3):
        stage.admit.run()
    assert stage.ids_waiting(GENERATIVE) == ["ctx_01"]


def test_what_all_workers_saw_opens_the_breaker(stage: Stage) -> None:
    """They flush it to Redis; the bridge reads it there and pauses the service in MongoDB."""
    stage.beat()
    for number in range(20):
        stage.signals.record(
            "GENERATIVE", outcome="retry", failing=True, forbidden=False,
            context_key=str(number), seconds=0.1, pickup_seconds=None,
        )  # fmt: skip
    stage.signals.flush(stage.client)
    stage.admit.run()
    pause = stage.repository.service_states()["GENERATIVE"].pause
    assert pause is not None
    assert (pause.by, pause.reason) == ("breaker", "20 of 20 calls failed lately")
    stage.insert(*names(5))
    stage.admit.run()
    assert stage.waiting(GENERATIVE) == []


def test_more_work_than_room_is_told(stage: Stage) -> None:
    """So that the next round comes without a ring; with nothing more there is none."""
    stage.beat()
    stage.insert(*names(3))
    assert stage.admit.run() is None
    stage.insert(*names(30, "more"))
    assert stage.admit.run() is not None


def test_consumers_are_woken(stage: Stage) -> None:
    """They need not look for what has come."""
    heard: list[str] = []
    channel = wake_channel(stage.settings.namespace, "generative")
    listener = Listener(stage.client, [channel], lambda name, _: heard.append(name))
    listener.start()
    assert listener.wait_until_connected(10)
    stage.beat()
    stage.insert("ctx_1")
    stage.admit.run()
    wait_until(lambda: heard)
    listener.stop()
    assert heard == [channel]


def test_a_redis_that_is_away_costs_nothing(
    stage: Stage, repository: MongoContextRepository
) -> None:
    """What was claimed is in doubt, and comes back; a round that could not ask claims nothing."""
    stage.insert(*names(3))
    nowhere = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    away = Stage(stage.settings.model_copy(update={"redis_url": nowhere}), repository)
    with pytest.raises(BrokerUnavailable):
        away.admit.run()
    assert repository.count_by_status()["GENERATIVE"] == {"pending": 3}
    [claim] = repository.claim("GENERATIVE", calls=1, lease=GENEROUS, owner=OWNER)
    with pytest.raises(BrokerUnavailable):
        away.admit.enqueue(GENERATIVE, [claim])
    assert away.admit.in_doubt is True
    away.close()
