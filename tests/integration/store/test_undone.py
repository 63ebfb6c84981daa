"""What an operator takes back: each context waits again as it did, if nothing has gone on since."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from agent.models import Document
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.undone import Before
from tests.factories import a_context
from tests.waiting import wait_until

HOUR, LEASE = timedelta(hours=1), timedelta(seconds=30)
ODD = ObjectId("65a1b2c3d4e5f60718293a4b")
STAYS = ("available_at", "wait_reason", "failures", "attempt", "fence", "status", "generation")


def waiting(repository: MongoContextRepository, *ids: Any, **fields: Any) -> None:
    """Stores contexts that are tried again in an hour."""
    due = repository.now() + HOUR
    given = {"status": "scheduled", "wait_reason": "retry", "fence": 1, "attempt": 1,
             "failures": 1, "available_at": due, **fields}  # fmt: skip
    repository.insert_contexts([{**a_context(**given), "_id": each} for each in ids])


def stored(repository: MongoContextRepository, context_id: Any) -> Document:
    found = repository.find_context(context_id)
    return {name: found.get(name) for name in STAYS}


def kept(before: Sequence[Before]) -> list[Before]:
    """As they come back from where they were kept."""
    return [Before.of_json(each.to_json()) for each in before]


@pytest.mark.parametrize("context_id", ["ctx_1", ODD, 17, {"a": 1}], ids=str)
def test_what_was_let_run_waits_again_as_it_did(
    repository: MongoContextRepository, context_id: Any
) -> None:
    """Until the same time, for the same reason, whatever its id is."""
    waiting(repository, context_id, wait_reason="snooze")
    was, before = stored(repository, context_id), list[Before]()
    word = '{"a": 1}' if isinstance(context_id, dict) else str(context_id)
    assert repository.run_chosen_now([word], before.extend).changed == 1
    assert stored(repository, context_id)["status"] == "pending"
    assert repository.undo_run_now(kept(before)).changed == 1
    assert stored(repository, context_id) == was


def test_what_was_postponed_gets_its_earlier_time_back(
    repository: MongoContextRepository,
) -> None:
    """But for what was given yet another time meanwhile, or another deadline before that one."""
    waiting(repository, "ctx_1", "ctx_2")
    was, before, now = stored(repository, "ctx_1"), list[Before](), repository.now()
    repository.postpone_chosen(["ctx_1", "ctx_2"], now + 5 * HOUR, before.extend)
    repository.postpone("ctx_2", now + 9 * HOUR)
    repository.prioritise("ctx_1", 1)
    progress = repository.undo_postpone(kept(before), now + 5 * HOUR)
    assert (progress.changed, progress.moved_on) == (1, 1)
    assert stored(repository, "ctx_1") == was
    assert stored(repository, "ctx_2")["available_at"] == now + 9 * HOUR


def test_what_was_cancelled_begins_anew_at_the_time_it_had(
    repository: MongoContextRepository,
) -> None:
    """As a retry under the same key; what somebody has retried already is left alone."""
    waiting(repository, "ctx_1", "ctx_2")
    was, before = stored(repository, "ctx_1"), list[Before]()
    repository.cancel_chosen(["ctx_1", "ctx_2"], before.extend)
    assert repository.find_context("ctx_1")["expire_at"] is not None
    repository.retry("ctx_2")
    progress = repository.undo_cancel(kept(before))
    assert (progress.changed, progress.moved_on) == (1, 1)
    assert stored(repository, "ctx_1") == was | {"failures": 0, "generation": 1}
    found = repository.find_context("ctx_1")
    assert found["completed_at"] is None
    assert "expire_at" not in found
    assert found["key_generation"] == 0
    assert stored(repository, "ctx_2")["status"] == "pending"


def test_a_cancelled_part_of_a_whole_opens_it_again(repository: MongoContextRepository) -> None:
    """It leaves the mark that a retry does."""
    waiting(repository, "req_1_a", parent_id="req_1")
    before: list[Before] = []
    repository.cancel_chosen(["req_1_a"], before.extend)
    assert repository.undo_cancel(before).changed == 1
    assert repository.find_context("req_1_a")["unsettled"]["reopens"] is True


def claimed(repository: MongoContextRepository, context_id: str) -> None:
    [claim] = repository.claim("GENERATIVE", calls=1, lease=LEASE, owner="b")
    assert claim.context_id == context_id


def released(repository: MongoContextRepository, context_id: str) -> None:
    [claim] = repository.claim("GENERATIVE", calls=1, lease=LEASE, owner="b")
    assert repository.release_queued(claim)


def amended(repository: MongoContextRepository, context_id: str) -> None:
    repository.prioritise(context_id, 1)


@pytest.mark.parametrize("happens", [claimed, released, amended])
def test_what_has_gone_on_is_left_alone(repository: MongoContextRepository, happens: Any) -> None:
    """A worker has it or had it, or another operator has changed it."""
    waiting(repository, "ctx_1")
    before: list[Before] = []
    repository.run_chosen_now(["ctx_1"], before.extend)
    happens(repository, "ctx_1")
    found = repository.find_context("ctx_1")
    progress = repository.undo_run_now(before)
    assert (progress.changed, progress.moved_on) == (0, 1)
    assert repository.find_context("ctx_1") == found


def test_what_is_taken_back_is_not_claimed_as_well(
    quick_settings: Settings, repository: MongoContextRepository
) -> None:
    """A bridge claims while an operator takes back: each context is the one's or the other's."""
    ids = [f"ctx_{number:03d}" for number in range(200)]
    waiting(repository, *ids)
    before: list[Before] = []
    repository.run_chosen_now(ids, before.extend)
    together, bridge = threading.Barrier(2), MongoContextRepository.connect(quick_settings)
    bridge.clock.learn(bridge.client)

    def claim() -> set[Any]:
        together.wait(10)
        taken: set[Any] = set()
        while found := bridge.claim("GENERATIVE", calls=20, lease=LEASE, owner="b"):
            taken |= {each.context_id for each in found}
        return taken

    def take_back() -> int:
        together.wait(10)
        parts = [before[start : start + 20] for start in range(0, len(before), 20)]
        return sum(repository.undo_run_now(part).changed for part in reversed(parts))

    with ThreadPoolExecutor(2) as pool:
        taking, undoing = pool.submit(claim), pool.submit(take_back)
        taken, undone = taking.result(60), undoing.result(60)
    bridge.close()
    assert len(taken) + undone == len(ids)
    statuses = {each["_id"]: each["status"] for each in repository.contexts.find()}
    assert {each for each, status in statuses.items() if status == "queued"} == taken
    assert set(statuses.values()) <= {"queued", "scheduled"}


def test_what_another_program_wrote_is_not_noted(repository: MongoContextRepository) -> None:
    """There is nothing that could be given back; it is changed all the same."""
    waiting(repository, "ctx_1")
    repository.contexts.update_one({"_id": "ctx_1"}, {"$set": {"fence": "x"}})
    before: list[Before] = []
    assert repository.run_chosen_now(["ctx_1"], before.extend).changed == 1
    assert before == []


def test_a_time_is_kept_to_the_millisecond() -> None:
    """As MongoDB has it, or the guard would never hold."""
    at = datetime.fromisoformat("2026-03-01T12:00:00.123+00:00")
    before = Before("ctx_1", at, "retry", None, at + LEASE)
    assert Before.of_json(before.to_json()) == before


def test_a_part_of_a_whole_that_was_cancelled_stays_so(repository: MongoContextRepository) -> None:
    """What somebody else decided about the whole stands."""
    waiting(repository, "req_1_a", parent_id="req_1")
    waiting(repository, "req_2_a", parent_id="req_2")
    for name, more in (("req_1", {"cancelling": True}), ("req_2", {})):
        parent = a_context(kind="parent", service_type="REQUEST", status="processing", **more)
        repository.insert_contexts([{**parent, "_id": name}])
    before: list[Before] = []
    repository.cancel_chosen(["req_1_a", "req_2_a"], before.extend)
    assert repository.undo_cancel(before).changed == 1
    assert stored(repository, "req_1_a")["status"] == "cancelled"
    assert stored(repository, "req_2_a")["status"] == "scheduled"


def test_what_is_past_its_deadline_does_not_begin_anew(repository: MongoContextRepository) -> None:
    """A retry by hand would take the deadline away; this was none."""
    deadline = repository.now() + timedelta(seconds=1)
    waiting(repository, "ctx_1", deadline_at=deadline)
    before: list[Before] = []
    repository.cancel_chosen(["ctx_1"], before.extend)
    wait_until(lambda: repository.now() > deadline)
    assert repository.undo_cancel(before).changed == 0
    assert stored(repository, "ctx_1")["status"] == "cancelled"
