"""One context in the hands of one worker: start, renew, release."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent.models import AttemptRecord, Claim, Document, WaitReason
from agent.store import changes
from agent.store.changes import Hold
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.runs import Fate
from tests.factories import LONG_AGO, a_context, a_lease

LEASE = timedelta(seconds=30)
REMOTE = {"status_url": "http://base.example/1", "accepted_at": LONG_AGO, "polls": 1}


def insert(repository: MongoContextRepository, **fields: Any) -> Document:
    document = a_context(**{"_id": "ctx_1", "fence": 3, "lease": a_lease(), **fields})
    repository.contexts.insert_one(document)
    return document


def start(repository: MongoContextRepository, claim: Claim) -> Document | None:
    return repository.start(claim, owner="worker:7", token="token_7", lease=LEASE)


def test_a_start_gives_the_document_as_it_is_now(repository: MongoContextRepository) -> None:
    """Processing, one attempt more, under a lease of its own."""
    insert(repository, status="queued", lease=a_lease(token=None), attempt=1)
    document = start(repository, Claim("ctx_1", 3, "claim_1"))
    assert document == repository.find_context("ctx_1")
    assert (document["status"], document["attempt"]) == ("processing", 2)
    assert document["processed_by"] == "worker:7"
    lease = document["lease"]
    assert (lease["owner"], lease["claim_id"], lease["token"]) == ("worker:7", "claim_1", "token_7")
    assert lease["expires_at"] == document["started_at"] + LEASE


def test_the_start_of_a_poll_is_no_attempt(repository: MongoContextRepository) -> None:
    """Nothing is sent."""
    insert(repository, status="queued", remote=REMOTE, attempt=1,
           lease=a_lease(claim_id="poll_1"))  # fmt: skip
    document = start(repository, Claim("ctx_1", 3, "poll_1"))
    assert document is not None
    assert document["attempt"] == 1


@pytest.mark.parametrize(
    ("stored", "claim"),
    [
        ({}, Claim("ctx_1", 2, "claim_1")),
        ({}, Claim("ctx_1", 4, "claim_1")),
        ({}, Claim("ctx_1", 3, "claim_0")),
        ({}, Claim("ctx_2", 3, "claim_1")),
        ({"status": "processing"}, Claim("ctx_1", 3, "claim_1")),
        ({"status": "cancelled"}, Claim("ctx_1", 3, "claim_1")),
        ({"remote": REMOTE}, Claim("ctx_1", 3, "claim_1")),
        ({"lease": a_lease(claim_id="poll_1")}, Claim("ctx_1", 3, "poll_1")),
    ],
    ids=["earlier fence", "later fence", "other claim", "other context", "started", "cancelled",
         "a call of what is polled", "a poll of what is called"],
)  # fmt: skip
def test_a_stale_claim_starts_nothing(
    repository: MongoContextRepository, stored: Document, claim: Claim
) -> None:
    """Its message may be old, or have been delivered twice."""
    before = insert(repository, **{"status": "queued", **stored})
    assert start(repository, claim) is None
    assert repository.find_context("ctx_1") == before


def test_all_leases_are_renewed_in_one_update(repository: MongoContextRepository) -> None:
    """Those that are not ours any more are told."""
    now = repository.now()
    for number in range(4):
        insert(repository, _id=f"ctx_{number}", status="processing",
               lease=a_lease(token=f"token_{number}", expires_at=now))  # fmt: skip
    repository.contexts.update_one({"_id": "ctx_1"}, {"$set": {"lease.token": "another"}})
    repository.contexts.update_one({"_id": "ctx_2"}, {"$set": {"status": "cancelled"}})
    holds = [Hold(f"ctx_{number}", 3, f"token_{number}") for number in range(4)]
    assert repository.renew(holds, LEASE) == [holds[1], holds[2]]
    for number, renewed in enumerate([True, False, False, True]):
        expires_at = repository.find_context(f"ctx_{number}")["lease"]["expires_at"]
        assert (expires_at > now + LEASE - timedelta(seconds=1)) == renewed


def test_renewing_nothing_asks_nothing(repository: MongoContextRepository) -> None:
    """An idle worker is silent."""
    repository.close()
    assert repository.renew([], LEASE) == []


@pytest.mark.parametrize("status", ["processing", "pending"])
def test_only_what_is_queued_under_this_claim_is_released(
    repository: MongoContextRepository, status: str
) -> None:
    """A message that comes late gives nothing back."""
    insert(repository, status="queued")
    assert repository.release_queued(Claim("ctx_1", 3, "claim_0")) is False
    assert repository.release_queued(Claim("ctx_1", 3, "claim_1")) is True
    document = repository.find_context("ctx_1")
    assert (document["status"], "lease" in document) == ("pending", False)
    repository.contexts.update_one(
        {"_id": "ctx_1"}, {"$set": {"status": status, "lease": a_lease()}}
    )
    assert repository.release_queued(Claim("ctx_1", 3, "claim_1")) is False


HOLD = Hold("ctx_1", 3, "token_1")
ATTEMPT = AttemptRecord(number=1, outcome="accepted", token="token_1")


@pytest.mark.parametrize("kind", ["release", "poll", "accepted", "retry"])
def test_whatever_was_written_is_found_again(repository: MongoContextRepository, kind: str) -> None:
    """A release and a poll leave no attempt behind, but the context where only they put it."""
    insert(repository, status="processing", remote=REMOTE if kind == "poll" else None)
    now = repository.now()
    writes = {
        "release": changes.release(now, HOLD),
        "poll": changes.reschedule(now, HOLD, available_at=now, reason=WaitReason.POLL,
                                   attempt=None, remote=REMOTE),
        "accepted": changes.reschedule(now, HOLD, available_at=now, reason=WaitReason.POLL,
                                       attempt=ATTEMPT, remote=REMOTE),
        "retry": changes.reschedule(now, HOLD, available_at=now, reason=WaitReason.RETRY,
                                    attempt=ATTEMPT),
    }  # fmt: skip
    write = writes[kind]
    assert repository.write_back(write) is True
    assert repository.fate(HOLD, leaves_attempt=write.leaves_attempt) is Fate.APPLIED
    assert repository.write_back(write) is False


def test_what_a_rescue_took_is_lost(repository: MongoContextRepository) -> None:
    """Its attempt was recorded without our token, and it waits for another start."""
    document = insert(repository, status="processing")
    attempt = AttemptRecord(number=1, outcome="lost")
    assert repository.rescue_processing(document, delay=LEASE, attempt=attempt)
    assert repository.fate(HOLD) is Fate.LOST
    repository.run_now("ctx_1")  # it is pending at the fence of the hold, as after a release
    assert repository.fate(HOLD) is Fate.LOST
