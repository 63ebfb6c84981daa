"""What the duties ask of a real server: what is due, what ran out, what others inserted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bson import Binary, ObjectId

from agent.models import AttemptRecord, Document, ErrorRecord
from agent.store import upkeep
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.upkeep import Look
from tests.factories import LONG_AGO, a_context, a_lease, foreign

SECOND = timedelta(seconds=1)
ATTEMPT = AttemptRecord(number=1, outcome="lost")
ERROR = ErrorRecord(type="PoisonContext", message="again and again")


def insert(repository: MongoContextRepository, *documents: Document) -> list[Any]:
    repository.contexts.insert_many(documents)
    return [document["_id"] for document in documents]


def statuses(repository: MongoContextRepository) -> dict[Any, str]:
    return {each["_id"]: each["status"] for each in repository.contexts.find()}


# Look


def test_an_empty_store_has_nothing_to_do(repository: MongoContextRepository) -> None:
    """Nothing pending, nothing due."""
    insert(repository, a_context(status="completed"), a_context(status="waiting"))
    assert repository.look() == Look(pending=False, next_due=None)
    assert repository.next_due() is None


def test_a_look_tells_when_the_next_is_due(repository: MongoContextRepository) -> None:
    """The earliest of those that are scheduled."""
    now = repository.now()
    insert(
        repository,
        a_context(status="scheduled", available_at=now + 60 * SECOND),
        a_context(status="scheduled", available_at=now + 5 * SECOND),
    )
    assert repository.look() == Look(pending=False, next_due=now + 5 * SECOND)
    assert repository.next_due() == now + 5 * SECOND


@pytest.mark.parametrize("document", [a_context(), foreign(), foreign(available_at=LONG_AGO)])
def test_a_look_sees_what_is_pending_first(
    repository: MongoContextRepository, document: Document
) -> None:
    """Another program's document, too, which has no time yet."""
    insert(repository, a_context(status="scheduled"), document)
    assert repository.look().pending is True


def test_an_odd_time_is_no_time(repository: MongoContextRepository) -> None:
    """Another program may have written anything there."""
    insert(repository, {**a_context(status="scheduled"), "available_at": "soon"})
    assert repository.look() == Look(pending=False, next_due=None)


# Promote


def test_what_is_due_becomes_pending_in_batches(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it, however many batches that takes; the others wait on."""
    monkeypatch.setattr(upkeep, "BATCH", 10)
    later = repository.now() + 60 * SECOND
    insert(
        repository,
        *(a_context(_id=f"due{n}", status="scheduled", wait_reason="retry") for n in range(35)),
        a_context(_id="later", status="scheduled", available_at=later),
        a_context(_id="done", status="completed"),
    )
    assert repository.promote() == 35
    assert repository.promote() == 0
    found = statuses(repository)
    assert {found[f"due{n}"] for n in range(35)} == {"pending"}
    assert (found["later"], found["done"]) == ("scheduled", "completed")
    assert repository.find_context("due0")["wait_reason"] is None


# Leases


def in_flight(status: str, **overrides: Any) -> Document:
    return a_context(**{"status": status, "fence": 3, "lease": a_lease(), **overrides})


def test_leases_that_ran_out_are_found(repository: MongoContextRepository) -> None:
    """By the database's clock, and only of what is in flight."""
    later = a_lease(expires_at=repository.now() + 60 * SECOND)
    insert(
        repository,
        in_flight("queued", _id="queued"),
        in_flight("processing", _id="processing"),
        in_flight("processing", _id="alive", lease=later),
        in_flight("completed", _id="done"),
    )
    found = repository.expired_leases()
    assert {document["_id"] for document in found} == {"queued", "processing"}
    assert all({"status", "fence", "attempt", "crashes", "lease"} <= set(each) for each in found)
    assert len(repository.expired_leases(limit=1)) == 1


def test_what_is_in_flight_without_a_lease_is_found(repository: MongoContextRepository) -> None:
    """It would never run out; parents have none by right."""
    insert(
        repository,
        {**in_flight("queued", _id="none"), "lease": None},
        {**in_flight("processing", _id="odd"), "lease": {"expires_at": "soon"}},
        foreign(_id="foreign", status="processing"),
        a_context(_id="parent", status="processing", kind="parent"),
        in_flight("processing", _id="held"),
        foreign(_id="pending"),
    )
    assert {each["_id"] for each in repository.without_lease()} == {"none", "odd", "foreign"}


def test_a_rescued_context_is_nobodys(repository: MongoContextRepository) -> None:
    """Pending if it was only queued, scheduled or failed if it ran; each only once."""
    documents = [
        in_flight("queued", _id="queued"),
        in_flight("processing", _id="again", crashes=1),
        in_flight("processing", _id="given up", crashes=9),
    ]
    insert(repository, *documents)
    now = repository.now()
    for taken in (True, False):
        assert repository.rescue_queued(documents[0]) is taken
        again = repository.rescue_processing(documents[1], delay=7 * SECOND, attempt=ATTEMPT)
        assert again is taken
        assert repository.rescue_fail(documents[2], error=ERROR, attempt=ATTEMPT) is taken
    assert statuses(repository) == {
        "queued": "pending", "again": "scheduled", "given up": "failed"
    }  # fmt: skip
    again_ = repository.find_context("again")
    assert (again_["crashes"], again_["wait_reason"]) == (2, "crash")
    assert 6 * SECOND < again_["available_at"] - now < 9 * SECOND
    assert [each["outcome"] for each in again_["attempts"]] == ["lost"]
    assert repository.find_context("given up")["error"]["type"] == "PoisonContext"
    assert not any("lease" in each for each in repository.contexts.find())


# Sweep


def test_what_waits_beyond_its_deadline_fails(repository: MongoContextRepository) -> None:
    """What has begun may end."""
    now = repository.now()
    waits = ("pending", "scheduled", "waiting")
    insert(
        repository,
        *(a_context(_id=status, status=status, deadline_at=LONG_AGO) for status in waits),
        a_context(_id="processing", status="processing", deadline_at=LONG_AGO),
        a_context(_id="in time", deadline_at=now + 60 * SECOND),
        a_context(_id="none"),
        {**a_context(_id="odd"), "deadline_at": "yesterday"},
    )
    ids = repository.overdue()
    assert set(ids) == set(waits)
    assert repository.expire([*ids, "in time", "none", "odd", "processing"]) == 3
    found = statuses(repository)
    assert {found[status] for status in waits} == {"failed"}
    assert {found[each] for each in ("in time", "none", "odd")} == {"pending"}
    assert found["processing"] == "processing"
    assert repository.find_context("pending")["error"]["type"] == "DeadlineExceeded"


# Adopt


def test_documents_of_other_programs_are_told_by_their_fence(
    repository: MongoContextRepository,
) -> None:
    """None at all is found at once, an odd one by the slower question."""
    insert(
        repository,
        foreign(_id="none"),
        foreign(_id="null", fence=None),
        foreign(_id="text", fence="3"),
        foreign(_id="negative", fence=-1),
        a_context(_id="adopted", fence=0),
        a_context(_id="undated", fence=0) | {"available_at": "soon"},
        a_context(_id="dates", fence=0) | {"available_at": [LONG_AGO]},
        a_context(_id="unnamed", fence=0) | {"service_type": 7},
        a_context(_id="fences", fence=0) | {"fence": [3]},
        foreign(_id="failed", status="failed"),
    )
    assert set(repository.foreign()) == {"none", "null"}
    assert set(repository.foreign_fences()) == {
        "none", "null", "text", "negative", "undated", "dates", "unnamed", "fences"
    }  # fmt: skip
    assert len(repository.foreign(limit=1)) == 1


def test_a_document_that_cannot_be_decoded_hides_no_other(
    repository: MongoContextRepository,
) -> None:
    """It is told as such; so is one that is gone."""
    broken = foreign(_id="broken", note=Binary(b"too short", 4))
    insert(repository, foreign(_id="whole"), broken)
    read = dict(repository.readable(["whole", "broken", "gone"]))
    assert read["broken"] is None
    assert read["gone"] is None
    assert read["whole"] is not None


def test_documents_are_read_as_they_are_stored(repository: MongoContextRepository) -> None:
    """What looks like a reference stays the object that it is, in its order."""
    link = {"$ref": "orders", "$id": 7, "more": {"$ref": "x", "$id": ObjectId()}}
    document = foreign(link=link)
    insert(repository, document)
    [(_, read)] = repository.readable([document["_id"]])
    assert read is not None
    assert list(read["link"].items()) == list(link.items())
