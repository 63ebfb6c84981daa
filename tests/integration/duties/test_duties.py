"""Rescue, promote and sweep on a real server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent.duties.promote import promote
from agent.duties.rescue import PART_COMPANY, Rescue
from agent.duties.roster import Roster
from agent.duties.sweep import sweep
from agent.models import MAX_CRASHES, Document
from agent.services import OnAmbiguous
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import LONG_AGO, a_context, a_lease, foreign

POLICIES: dict[str, OnAmbiguous] = {
    "GENERATIVE": "retry", "ANALYSIS": "retry", "COMMUNICATION": "park"
}  # fmt: skip
SECOND = timedelta(seconds=1)


class Night:
    """Rescue on a clock that a test moves past its first wait."""

    def __init__(self, repository: MongoContextRepository) -> None:
        self.monotonic = 1000.0
        self.repository = repository
        self.rescue = Rescue(repository, POLICIES, monotonic=lambda: self.monotonic)
        self.monotonic += 100

    def insert(self, **fields: Any) -> Document:
        document = a_context(
            **{"_id": "ctx_1", "fence": 3, "attempt": 1, "lease": a_lease(), **fields}
        )
        self.repository.contexts.insert_one(document)
        return document

    def run(self) -> Document:
        assert self.rescue.run() == 1
        return self.repository.find_context("ctx_1")

    def crash(self) -> None:
        """Have it start again, and its worker vanish."""
        crashed = {"status": "processing", "lease": a_lease(), "started_at": LONG_AGO}
        self.repository.contexts.update_one(
            {"_id": "ctx_1"}, {"$set": crashed, "$inc": {"fence": 1, "attempt": 1}}
        )


@pytest.fixture
def night(repository: MongoContextRepository) -> Night:
    return Night(repository)


def test_a_queued_context_comes_back_at_once(night: Night) -> None:
    """It was not begun: no crash, no attempt, no wait."""
    night.insert(status="queued")
    document = night.run()
    assert (document["status"], document["crashes"], document["attempts"]) == ("pending", 0, [])
    assert "lease" not in document


def test_a_running_context_waits_a_while_and_remembers(night: Night) -> None:
    """The lost attempt is written by rescue, as its worker cannot."""
    night.insert(status="processing", started_at=LONG_AGO)
    now = night.repository.now()
    document = night.run()
    assert (document["status"], document["wait_reason"]) == ("scheduled", "crash")
    assert (document["crashes"], document["failures"]) == (1, 0)
    waits = document["available_at"] - now
    assert timedelta(0) <= waits <= PART_COMPANY + 5 * SECOND
    [attempt] = document["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["worker"]) == (1, "lost", "worker:1")
    assert (attempt["definite"], attempt["started_at"]) == (False, LONG_AGO)


def test_a_context_that_never_finishes_is_given_up_at_the_tenth_crash(night: Night) -> None:
    """Not before, and its history says why."""
    night.insert(status="processing", attempt=0, fence=0)
    for crash in range(1, MAX_CRASHES + 1):
        night.crash()
        document = night.run()
        assert document["crashes"] == crash
        assert document["status"] == ("scheduled" if crash < MAX_CRASHES else "failed")
    assert document["error"]["type"] == "PoisonContext"
    assert [attempt["number"] for attempt in document["attempts"]] == [*range(1, MAX_CRASHES + 1)]


def test_mail_is_not_sent_twice_on_a_guess(night: Night) -> None:
    """An operator looks; the same key protects what a retry might repeat."""
    night.insert(status="processing", service_type="COMMUNICATION")
    document = night.run()
    assert (document["status"], document["error"]["type"]) == ("failed", "OutcomeUnknown")
    assert night.repository.retry("ctx_1")["key_generation"] == 0


def test_accepted_mail_is_asked_for_again(night: Night) -> None:
    """A poll is never ambiguous; where it is asked for is kept."""
    remote = {"status_url": "http://base.example/1", "accepted_at": LONG_AGO, "polls": 4}
    night.insert(status="processing", service_type="COMMUNICATION", remote=remote)
    document = night.run()
    assert (document["status"], document["remote"]) == ("scheduled", remote)


@pytest.mark.parametrize(("status", "after"), [("queued", "pending"), ("processing", "scheduled")])
def test_another_programs_context_without_a_lease_is_taken_too(
    night: Night, status: str, after: str
) -> None:
    """It would hang for ever."""
    night.repository.contexts.insert_one(foreign(_id="ctx_1", status=status))
    assert night.run()["status"] == after


def test_a_living_worker_keeps_its_context(night: Night) -> None:
    """And a parent has no lease by right."""
    night.insert(
        status="processing", lease=a_lease(expires_at=night.repository.now() + 60 * SECOND)
    )
    night.insert(_id="parent", status="processing", kind="parent", lease=None)
    assert night.rescue.run() == 0


def test_promote_tells_when_the_next_is_due(repository: MongoContextRepository) -> None:
    """What is due is pending then."""
    later = repository.now() + 60 * SECOND
    repository.insert_contexts(
        [a_context(_id="due", status="scheduled"),
         a_context(_id="later", status="scheduled", available_at=later)]
    )  # fmt: skip
    assert promote(repository) == later
    assert repository.find_context("due")["status"] == "pending"


def test_sweep_fails_what_is_too_late(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In as many batches as it takes."""
    monkeypatch.setattr("agent.duties.sweep.BATCH", 10)
    overdue = repository.overdue
    monkeypatch.setattr(repository, "overdue", lambda: overdue(10))
    repository.insert_contexts([a_context(deadline_at=LONG_AGO) for _ in range(25)])
    assert sweep(repository) == 25
    assert sweep(repository) == 0
    assert repository.contexts.count_documents({"error.type": "DeadlineExceeded"}) == 25


def test_a_roster_does_every_duty(repository: MongoContextRepository) -> None:
    """So that workers alone need no bridge; rescue waits its lease first."""
    repository.insert_contexts(
        [
            a_context(_id="scheduled", status="scheduled"),
            a_context(_id="late", status="waiting", deadline_at=LONG_AGO),
            a_context(_id="running", status="processing", lease=a_lease()),
        ]
    )
    repository.contexts.insert_one(foreign(_id="foreign", fence="odd"))
    Roster.of(repository).run_due()
    found = {each["_id"]: each["status"] for each in repository.contexts.find()}
    assert found == {
        "scheduled": "pending", "late": "failed", "running": "processing", "foreign": "pending"
    }  # fmt: skip
    assert repository.find_context("foreign")["fence"] == 0
