"""The guarded writes on a real server: each does what the table says, from every status."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Int64, ObjectId
from pymongo.database import Database

from agent.models import (
    TRANSITIONS,
    AttemptRecord,
    Change,
    Claim,
    Context,
    Document,
    ErrorRecord,
    Status,
    WaitReason,
)
from agent.store import changes
from agent.store.changes import Hold, Write
from tests.factories import a_context, a_lease, foreign

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
ERROR = ErrorRecord(type="ServiceUnavailable", message="no answer", status_code=503)
ATTEMPT = AttemptRecord(number=1, outcome="retry", token="token_1", error=ERROR)


def hold(document: Document) -> Hold:
    return Hold(document["_id"], document["fence"], document["lease"]["token"])


def claim(document: Document) -> Claim:
    return Claim(document["_id"], document["fence"], document["lease"]["claim_id"])


WRITES: dict[Change, Callable[[Document], Write]] = {
    Change.CLAIM: lambda d: changes.claim(
        NOW, [d["_id"]], owner="b", claim_id="claim_2", lease=LEASE, polls=False
    ),
    Change.START: lambda d: changes.start(NOW, claim(d), owner="w", token="t", lease=LEASE),
    Change.COMPLETE: lambda d: changes.complete(NOW, hold(d), results={}, attempt=ATTEMPT),
    Change.RESCHEDULE: lambda d: changes.reschedule(
        NOW, hold(d), available_at=NOW, reason=WaitReason.RETRY, attempt=ATTEMPT
    ),
    Change.FAIL: lambda d: changes.fail(NOW, hold(d), error=ERROR, attempt=ATTEMPT),
    Change.RELEASE: lambda d: changes.release(NOW, hold(d)),
    Change.RESCUE_QUEUED: lambda d: changes.rescue_queued(NOW, d),
    Change.RESCUE_PROCESSING: lambda d: changes.rescue_processing(
        NOW, d, available_at=NOW, attempt=ATTEMPT
    ),
    Change.RESCUE_FAIL: lambda d: changes.rescue_fail(NOW, d, error=ERROR, attempt=ATTEMPT),
    Change.PROMOTE: lambda d: changes.promote(NOW),
    Change.CANCEL: lambda d: changes.cancel(NOW, d["_id"]),
    Change.RETRY: lambda d: changes.retry(NOW, d, fresh_key=False),
}
"""For a document whose every other condition holds, so that its status alone decides."""


def stored(database: Database[Document], **fields: Any) -> Document:
    """A stored context, as it is read back."""
    document = a_context(**{"fence": 3, "lease": a_lease(), **fields})
    database.contexts.insert_one(document)
    return read(database, document["_id"])


def read(database: Database[Document], context_id: object) -> Document:
    found = database.contexts.find_one({"_id": context_id})
    assert found is not None
    return found


def applied(database: Database[Document], write: Write) -> bool:
    return database.contexts.update_one(write.filter, write.update).matched_count == 1


@pytest.mark.parametrize("change", WRITES)
def test_a_write_moves_exactly_the_statuses_of_its_line(
    database: Database[Document], change: Change
) -> None:
    """From every status: those of the table move, the others stay as they are."""
    moved = set()
    for status in Status:
        before = stored(database, status=status)
        if applied(database, WRITES[change](before)):
            moved.add(status)
            after = read(database, before["_id"])
            assert after["status"] == TRANSITIONS[change].target
            Context.model_validate(after)
        else:
            assert read(database, before["_id"]) == before
        database.contexts.delete_one({"_id": before["_id"]})
    assert moved == TRANSITIONS[change].sources


@pytest.mark.parametrize(
    "change", [Change.COMPLETE, Change.RESCHEDULE, Change.FAIL, Change.RELEASE]
)
@pytest.mark.parametrize("stale", [{"fence": 2}, {"token": "token_0"}, {"context_id": ObjectId()}])
def test_a_stale_worker_writes_nothing(
    database: Database[Document], change: Change, stale: dict[str, Any]
) -> None:
    """Another fence, another token, another context: it is not the one that holds it."""
    before = stored(database, status="processing")
    write = WRITES[change](before)
    names = {"fence": "fence", "token": "lease.token", "context_id": "_id"}
    wrong = {names[name]: value for name, value in stale.items()}
    assert not applied(database, Write({**write.filter, **wrong}, write.update))
    assert read(database, before["_id"]) == before


def test_one_of_two_claims_takes_a_context(database: Database[Document]) -> None:
    """Two bridges that claim the same contexts at once share them out, each at one fence."""
    ids = [stored(database, status="pending", lease=None)["_id"] for _ in range(50)]
    together = threading.Barrier(2)

    def take(claim_id: str) -> int:
        write = changes.claim(NOW, ids, owner="b", claim_id=claim_id, lease=LEASE, polls=False)
        together.wait(10)
        return database.contexts.update_many(write.filter, write.update).modified_count

    with ThreadPoolExecutor(2) as pool:
        taken = dict(zip(("a", "b"), pool.map(take, ("a", "b")), strict=True))
    for claim_id, count in taken.items():
        assert database.contexts.count_documents({"lease.claim_id": claim_id}) == count
    assert sum(taken.values()) == 50
    assert database.contexts.distinct("fence") == [4]


def test_a_heartbeat_beats_the_rescue(database: Database[Document]) -> None:
    """A lease that was renewed after rescue had read it is not taken away."""
    document = stored(database, status="processing")
    write = changes.rescue_processing(NOW, document, available_at=NOW, attempt=ATTEMPT)
    database.contexts.update_one(
        {"_id": document["_id"]}, {"$set": {"lease.expires_at": NOW + LEASE}}
    )
    assert not applied(database, write)


@pytest.mark.parametrize("lease", [None, {"owner": "x"}, {"expires_at": "soon"}])
def test_what_has_no_lease_counts_as_expired(database: Database[Document], lease: object) -> None:
    """Otherwise it would hang for ever; one that was given meanwhile wins."""
    for gets_one in (True, False):
        document = foreign(status="processing", lease=lease)
        database.contexts.insert_one(document)
        write = changes.rescue_processing(NOW, document, available_at=NOW, attempt=ATTEMPT)
        if gets_one:
            database.contexts.update_one(
                {"_id": document["_id"]}, {"$set": {"lease": a_lease(expires_at=NOW + LEASE)}}
            )
        assert applied(database, write) is not gets_one


@pytest.mark.parametrize(
    ("fence", "adopted"),
    [
        (0, True),
        (7, True),
        (Int64(7), True),
        (None, False),
        ("x", False),
        (-1, False),
        (7.0, False),
        (1.5, False),
        (True, False),
    ],
)
def test_a_document_is_either_claimed_or_adopted(
    database: Database[Document], fence: object, adopted: bool
) -> None:
    """Whatever another program wrote into its fence, exactly one of the two takes it."""
    document = foreign(fence=fence, available_at=NOW, service_type="GENERATIVE")
    database.contexts.insert_one(document)
    adopt = changes.adopt(NOW, document, read={}, changes={"priority": 5}, originals={})
    fail = changes.adopt_fail(NOW, document, read={}, error=ERROR)
    take = changes.claim(NOW, [document["_id"]], owner="b", claim_id="c", lease=LEASE, polls=False)
    matching = [database.contexts.count_documents(write.filter) for write in (adopt, fail, take)]
    assert matching == ([0, 0, 1] if adopted else [1, 1, 0])


def test_adoption_gives_way_to_another_programs_change(database: Database[Document]) -> None:
    """What was read has to be there still, or still not."""
    document = foreign(tags=["generative", {"$gt": ""}])
    database.contexts.insert_one(document)
    read_ = {"tags": document["tags"], "template": document["template"]}
    write = changes.adopt(NOW, document, read=read_, changes={"fence": 0}, originals={})
    database.contexts.update_one({"_id": document["_id"]}, {"$push": {"tags": "x"}})
    assert not applied(database, write)
    database.contexts.update_one({"_id": document["_id"]}, {"$pop": {"tags": 1}})
    assert applied(database, write)


def test_the_newest_attempts_are_kept(database: Database[Document]) -> None:
    """Twenty, however many there were."""
    document = stored(database, status="processing")
    for number in range(1, 25):
        record = AttemptRecord(number=number, outcome="snooze")
        write = changes.reschedule(
            NOW, hold(document), available_at=NOW, reason=WaitReason.SNOOZE, attempt=record
        )
        assert applied(database, write)
        database.contexts.update_one(
            {"_id": document["_id"]}, {"$set": {"status": "processing", "lease": a_lease()}}
        )
    numbers = [entry["number"] for entry in read(database, document["_id"])["attempts"]]
    assert numbers == list(range(5, 25))
