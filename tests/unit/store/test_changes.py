"""The guarded writes: what each one's filter insists on, and what it changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.fingerprint import fingerprint_of
from agent.models import (
    ABSENT,
    KEPT_ATTEMPTS,
    TRANSITIONS,
    AttemptRecord,
    Change,
    Claim,
    Document,
    ErrorRecord,
    WaitReason,
)
from agent.store import changes
from agent.store.changes import Hold, Write
from tests.factories import a_context, a_lease, foreign

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
EARLIER = NOW - timedelta(minutes=5)
LEASE = timedelta(seconds=30)
HOLD = Hold("ctx_1", 3, "token_1")
CALL, POLL = Claim("ctx_1", 3, "claim_1"), Claim("ctx_1", 3, "poll_1")
ERROR = ErrorRecord(type="ServiceUnavailable", message="no answer", status_code=503)
ATTEMPT = AttemptRecord(number=4, outcome="retry", token="token_1", error=ERROR)
REMOTE = {"status_url": "/api/v1/contexts/7", "accepted_at": NOW}


def an_expired(status: str = "processing", **overrides: Any) -> Document:
    return a_context(_id="ctx_1", status=status, fence=3, lease=a_lease(), **overrides)


def a_failed(**overrides: Any) -> Document:
    """A context that failed for good, as an operator finds it."""
    return a_context(
        **{
            "_id": "ctx_1",
            "status": "failed",
            "fence": 3,
            "updated_at": EARLIER,
            "completed_at": EARLIER,
            "failures": 20,
            "crashes": 2,
            "error": ERROR.model_dump(),
            "attempts": [ATTEMPT.model_dump()],
            **overrides,
        }
    )


def reschedule(reason: WaitReason, **options: Any) -> Write:
    return changes.reschedule(
        NOW, HOLD, available_at=LATER, reason=reason, attempt=options.pop("attempt", ATTEMPT),
        **options,
    )  # fmt: skip


HELD: dict[str, tuple[Change, Write]] = {
    "complete": (
        Change.COMPLETE,
        changes.complete(NOW, HOLD, results={"success": True}, attempt=ATTEMPT),
    ),
    "fail": (Change.FAIL, changes.fail(NOW, HOLD, error=ERROR, attempt=ATTEMPT)),
    "retry": (Change.RESCHEDULE, reschedule(WaitReason.RETRY)),
    "snooze": (Change.RESCHEDULE, reschedule(WaitReason.SNOOZE)),
    "accepted": (Change.RESCHEDULE, reschedule(WaitReason.POLL, remote=REMOTE)),
    "release": (Change.RELEASE, changes.release(NOW, HOLD)),
}
"""The writes of a worker that runs the context."""

RESCUES: dict[str, tuple[Change, Write]] = {
    "rescue queued": (Change.RESCUE_QUEUED, changes.rescue_queued(NOW, an_expired("queued"))),
    "rescue processing": (
        Change.RESCUE_PROCESSING,
        changes.rescue_processing(NOW, an_expired(), available_at=LATER, attempt=ATTEMPT),
    ),
    "rescue fail": (
        Change.RESCUE_FAIL,
        changes.rescue_fail(NOW, an_expired(), error=ERROR, attempt=ATTEMPT),
    ),
}

OTHERS: dict[str, tuple[Change, Write]] = {
    "claim": (
        Change.CLAIM,
        changes.claim(NOW, ["ctx_1"], owner="b", claim_id="claim_1", lease=LEASE, polls=False),
    ),
    "start": (Change.START, changes.start(NOW, CALL, owner="w", token="token_1", lease=LEASE)),
    "promote": (Change.PROMOTE, changes.promote(NOW)),
    "run now": (Change.PROMOTE, changes.run_now(NOW, "ctx_1")),
    "cancel": (Change.CANCEL, changes.cancel(NOW, "ctx_1")),
    "expire": (Change.EXPIRE, changes.expire(NOW, "ctx_1")),
    "postpone": (Change.POSTPONE, changes.postpone(NOW, "ctx_1", LATER)),
    "take back": (
        Change.TAKE_BACK,
        changes.take_back(
            NOW,
            "ctx_1",
            read={"fence": 3, "updated_at": EARLIER},
            available_at=LATER,
            reason="retry",
        ),
    ),
    "operator's retry": (Change.RETRY, changes.retry(NOW, a_failed(), fresh_key=False)),
    "operator's retry later": (
        Change.RETRY_LATER,
        changes.retry(NOW, a_failed(), fresh_key=False, available_at=LATER),
    ),
    "adopt fail": (
        Change.ADOPT_FAIL,
        changes.adopt_fail(NOW, foreign(_id="ctx_1"), read={}, error=ERROR),
    ),
}

ALL = HELD | RESCUES | OTHERS


def statuses(filter: Document) -> set[str]:
    """The statuses that a filter lets through."""
    return set(words(filter["status"]))


def words(asked: Any) -> list[str]:
    """The statuses that a condition names: one, one of several, or none but these."""
    if not isinstance(asked, dict):
        return [asked]
    named: list[str] = asked["$in"] if "$in" in asked else asked["$not"]["$nin"]
    return named


def without_status(filter: Document) -> Document:
    """What a filter asks beside the status."""
    return {name: asked for name, asked in filter.items() if name != "status"}


@pytest.mark.parametrize(("change", "write"), ALL.values(), ids=ALL)
def test_a_write_is_guarded_by_the_table(change: Change, write: Write) -> None:
    """It lets through the statuses of its line, and leads where the line leads."""
    assert statuses(write.filter) == {str(source) for source in TRANSITIONS[change].sources}
    assert write.update["$set"]["status"] == str(TRANSITIONS[change].target)
    assert write.update["$set"]["updated_at"] == NOW


@pytest.mark.parametrize(("change", "write"), ALL.values(), ids=ALL)
def test_a_write_sends_plain_text(change: Change, write: Write) -> None:
    """A status is text on the wire, and no field is both set and removed."""
    sent = [*words(write.filter["status"]), write.update["$set"]["status"]]
    assert {type(word) for word in sent} == {str}
    assert not write.update["$set"].keys() & write.update.get("$unset", {}).keys()


@pytest.mark.parametrize(("change", "write"), HELD.values(), ids=HELD)
def test_a_workers_write_is_fenced(change: Change, write: Write) -> None:
    """By the id, the fence and the token of its own start, beside the status."""
    assert without_status(write.filter) == {"_id": "ctx_1", "fence": 3, "lease.token": "token_1"}


@pytest.mark.parametrize(("change", "write"), HELD.values(), ids=HELD)
def test_a_worker_that_writes_back_lets_go(change: Change, write: Write) -> None:
    """The lease goes whole, with the same write."""
    assert write.update["$unset"]["lease"] == ""
    assert not any(name.startswith("lease.") for name in write.update["$set"])


def test_a_start_is_fenced_by_the_message() -> None:
    """By the id, the fence and the claim's id that the message carries."""
    write = changes.start(NOW, CALL, owner="worker:1", token="token_1", lease=LEASE)
    assert write.filter == {
        "_id": "ctx_1",
        "fence": 3,
        "status": {"$not": {"$nin": ["queued"]}},
        "lease.claim_id": "claim_1",
        "remote.accepted_at": {"$exists": False},
    }
    assert write.update["$set"]["lease"] == {
        "owner": "worker:1",
        "claim_id": "claim_1",
        "token": "token_1",
        "expires_at": NOW + LEASE,
    }
    assert write.update["$inc"] == {"attempt": 1}


def test_a_poll_costs_no_attempt() -> None:
    """Asking for accepted work is no call; only work that is accepted can be asked for."""
    write = changes.start(NOW, POLL, owner="worker:1", token="token_1", lease=LEASE)
    assert write.filter["remote.accepted_at"] == {"$exists": True}
    assert "$inc" not in write.update


@pytest.mark.parametrize("polls", [False, True])
def test_a_claim_raises_the_fence_of_what_is_due(polls: bool) -> None:
    """With a lease for the wait in the queue, and no token: nobody has started."""
    write = changes.claim(
        NOW, ["a", "b"], owner="bridge:1", claim_id="claim_1", lease=LEASE, polls=polls
    )
    assert write.filter == {
        "_id": {"$in": ["a", "b"]},
        "status": "pending",
        "available_at": {"$lte": NOW},
        "fence": {"$gte": 0, "$lt": 2**53, "$type": ["int", "long"]},
        "remote.accepted_at": {"$exists": polls},
    }
    assert write.update["$inc"] == {"fence": 1}
    assert write.update["$set"]["lease"] == {
        "owner": "bridge:1",
        "claim_id": "claim_1",
        "token": None,
        "expires_at": NOW + LEASE,
    }


def test_what_was_only_queued_is_handed_back_by_its_claim() -> None:
    """There is no token yet."""
    write = changes.release_queued(NOW, CALL)
    assert write.filter == {
        "_id": "ctx_1", "fence": 3, "lease.claim_id": "claim_1", "status": "queued",
    }  # fmt: skip
    assert write.update["$set"]["status"] == "pending"
    assert write.update["$unset"] == {"lease": ""}


@pytest.mark.parametrize(("change", "write"), RESCUES.values(), ids=RESCUES)
def test_a_rescue_repeats_that_this_very_lease_ran_out(change: Change, write: Write) -> None:
    """A heartbeat, or a new start, that came in between wins."""
    assert without_status(write.filter) == {
        "_id": "ctx_1",
        "lease.claim_id": {"$eq": "claim_1"},
        "lease.token": {"$eq": "token_1"},
        "lease.expires_at": {"$lte": NOW},
    }


@pytest.mark.parametrize(
    "lease", [None, {}, {"owner": "x"}, {"expires_at": "2024-05-01"}, "mine", ABSENT]
)
def test_a_rescue_without_a_lease_repeats_that_there_is_none(lease: object) -> None:
    """None that could run out counts as one that did; one that was given meanwhile wins."""
    document = {"_id": "ctx_1", "status": "processing", "lease": lease}
    if lease is ABSENT:
        del document["lease"]
    write = changes.rescue_processing(NOW, document, available_at=LATER, attempt=ATTEMPT)
    assert write.filter == {
        "_id": "ctx_1",
        "status": "processing",
        "lease.expires_at": {"$not": {"$type": "date"}},
    }


def test_a_rescued_start_counts_as_a_crash() -> None:
    """It waits before the next one, and the lost attempt is recorded."""
    write = changes.rescue_processing(NOW, an_expired(), available_at=LATER, attempt=ATTEMPT)
    assert write.update["$inc"] == {"crashes": 1}
    assert write.update["$set"]["available_at"] == LATER
    assert write.update["$set"]["wait_reason"] == "crash"
    assert write.update["$unset"] == {"lease": ""}  # accepted work is asked for again
    assert "attempts" in write.update["$push"]


def test_a_rescued_wait_in_the_queue_counts_as_nothing() -> None:
    """Nobody had started; it may run at once."""
    write = changes.rescue_queued(NOW, an_expired("queued"))
    assert "$inc" not in write.update
    assert "$push" not in write.update
    assert "available_at" not in write.update["$set"]


@pytest.mark.parametrize("name", ["complete", "fail", "retry", "snooze", "accepted"])
def test_an_attempt_that_finishes_ends_a_row_of_crashes(name: str) -> None:
    """Whatever it came to: its process lived."""
    assert HELD[name][1].update["$set"]["crashes"] == 0


def test_a_release_is_no_attempt_that_finished() -> None:
    """Nothing was sent, so it says nothing of what the context does to a process."""
    write = changes.release(NOW, HOLD)
    assert "crashes" not in write.update["$set"]
    assert "remote" not in write.update["$unset"]
    assert write.update["$set"]["wait_reason"] is None


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("complete", {}),
        ("fail", {}),
        ("retry", {"failures": 1}),
        ("snooze", {"snoozes": 1}),
        ("accepted", {}),
        ("release", {}),
    ],
)
def test_only_a_retry_counts_against_the_limit(name: str, counted: dict[str, int]) -> None:
    """Snoozes, polls and releases do not."""
    assert HELD[name][1].update.get("$inc", {}) == counted


def test_the_failure_that_reaches_the_limit_counts_too() -> None:
    """People see as many failures as there were."""
    write = changes.fail(NOW, HOLD, error=ERROR, attempt=ATTEMPT, counts=True)
    assert write.update["$inc"] == {"failures": 1}


def test_a_failure_ends_a_row_of_snoozes() -> None:
    """They are counted in a row."""
    assert HELD["retry"][1].update["$set"]["snoozes"] == 0
    assert "snoozes" not in HELD["snooze"][1].update["$set"]


@pytest.mark.parametrize("name", ["complete", "fail", "retry", "snooze"])
def test_every_outcome_but_accepted_removes_remote(name: str) -> None:
    """Nobody asks for that work any more."""
    assert HELD[name][1].update["$unset"]["remote"] == ""


def test_accepted_work_is_kept_whole() -> None:
    """Set in one piece, and asked for later."""
    write = HELD["accepted"][1]
    assert write.update["$set"]["remote"] == REMOTE
    assert write.update["$set"]["available_at"] == LATER
    assert write.update["$set"]["wait_reason"] == "poll"
    assert "remote" not in write.update["$unset"]


def test_a_poll_that_is_not_final_leaves_no_attempt() -> None:
    """A day of polling would push the call itself out of the history."""
    write = reschedule(WaitReason.POLL, remote=REMOTE, attempt=None)
    assert "$push" not in write.update


def test_the_newest_attempts_are_kept() -> None:
    """A context that is retried for weeks stays small; what has no value takes no room."""
    assert HELD["retry"][1].update["$push"] == {
        "attempts": {
            "$each": [
                {
                    "number": 4,
                    "outcome": "retry",
                    "token": "token_1",
                    "definite": True,
                    "error": {
                        "type": "ServiceUnavailable",
                        "message": "no answer",
                        "status_code": 503,
                        "fingerprint": fingerprint_of("ServiceUnavailable", "no answer"),
                    },
                }
            ],
            "$slice": -KEPT_ATTEMPTS,
        }
    }


@pytest.mark.parametrize("results", [{"success": True}, {"$ref": "x"}, [], None, "text"])
def test_a_result_is_stored_as_it_came(results: object) -> None:
    """And the error of an earlier generation is gone."""
    write = changes.complete(NOW, HOLD, results=results, attempt=ATTEMPT)
    assert write.update["$set"]["results"] == results
    assert write.update["$set"]["completed_at"] == NOW
    assert write.update["$unset"]["error"] == ""


def test_promotion_takes_what_is_due() -> None:
    """And nothing that was postponed meanwhile."""
    assert changes.promote(NOW).filter == {"status": "scheduled", "available_at": {"$lte": NOW}}


def test_running_now_makes_it_due() -> None:
    """An operator does not want to wait."""
    write = changes.run_now(NOW, "ctx_1")
    assert write.filter == {"_id": "ctx_1", "status": "scheduled"}
    assert write.update["$set"]["available_at"] == NOW


def test_nothing_is_postponed_behind_its_deadline() -> None:
    """It would fail instead; one without a deadline may wait as long as anybody likes."""
    write = changes.postpone(NOW, "ctx_1", LATER)
    assert write.filter["deadline_at"] == {"$not": {"$lte": LATER}}
    assert write.update == {
        "$set": {"status": "scheduled", "updated_at": NOW, "available_at": LATER}
    }


def test_a_deadline_ends_what_has_not_run() -> None:
    """Whichever way it waits, with a reason for people; what runs may finish."""
    write = changes.expire(NOW, "ctx_1")
    assert without_status(write.filter) == {"_id": "ctx_1", "deadline_at": {"$lte": NOW}}
    assert statuses(write.filter) == {"pending", "scheduled", "waiting"}
    assert write.update["$set"]["error"]["type"] == "DeadlineExceeded"
    assert write.update["$unset"] == {"lease": "", "remote": ""}


def test_a_cancelled_context_belongs_to_nobody() -> None:
    """The result of a call that runs is then dropped by its status and token."""
    write = changes.cancel(NOW, "ctx_1")
    assert write.update["$unset"] == {"lease": "", "remote": ""}
    assert write.update["$set"]["completed_at"] == NOW


def test_an_operators_retry_begins_a_new_generation() -> None:
    """Counters begin anew, the history stays, and what the last generation left is removed."""
    write = changes.retry(NOW, a_failed(generation=1), fresh_key=False)
    assert write.filter == {
        "_id": "ctx_1",
        "status": {"$in": ["cancelled", "failed"]},
        "kind": {"$ne": "parent"},
        "updated_at": EARLIER,
        "generation": 1,
    }
    assert write.update["$set"] == {
        "status": "pending",
        "updated_at": NOW,
        "available_at": NOW,
        "wait_reason": None,
        "completed_at": None,
        "generation": 2,
        "failures": 0,
        "crashes": 0,
        "snoozes": 0,
    }
    removed = {"lease", "remote", "results", "error", "expire_at"}
    assert write.update["$unset"].keys() == removed
    assert write.update.keys() == {"$set", "$unset"}


def test_a_retry_may_wait_for_its_turn() -> None:
    """It is scheduled like what failed and is tried again; a time that has come is none to wait
    for, and when a step begins is for settle to say."""
    write = changes.retry(NOW, a_failed(), fresh_key=False, available_at=LATER)
    waits = {"status": "scheduled", "available_at": LATER, "wait_reason": "retry", "failures": 0}
    assert waits.items() <= write.update["$set"].items()
    step = a_failed(parent_id="req_1", after=["req_1_draft"])
    for document, due, status in ((a_failed(), NOW, "pending"), (step, LATER, "waiting")):
        write = changes.retry(NOW, document, fresh_key=False, available_at=due)
        begins = {"status": status, "available_at": NOW, "wait_reason": None}
        assert begins.items() <= write.update["$set"].items()


def test_a_retry_that_waits_drops_the_deadline_that_it_would_miss() -> None:
    """Or it would fail before its turn."""
    document = a_failed(deadline_at=LATER)
    write = changes.retry(NOW, document, fresh_key=False, available_at=LATER)
    assert write.update["$set"]["deadline_at"] is None


def test_what_ran_now_waits_again_only_as_it_was_left() -> None:
    """Another fence, another time of change: somebody has been there."""
    write = OTHERS["take back"][1]
    assert without_status(write.filter) == {
        "_id": {"$eq": "ctx_1"}, "fence": {"$eq": 3}, "updated_at": {"$eq": EARLIER},
        "kind": {"$ne": "parent"},
    }  # fmt: skip
    assert write.update == {
        "$set": {"status": "scheduled", "updated_at": NOW, "available_at": LATER,
                 "wait_reason": "retry"}
    }  # fmt: skip


@pytest.mark.parametrize(("fresh_key", "expected"), [(True, 2), (False, None)])
def test_a_retry_uses_a_fresh_key_only_where_it_is_told_to(
    fresh_key: bool, expected: int | None
) -> None:
    """After anything that may have had its effect the service sees the same key."""
    write = changes.retry(NOW, a_failed(generation=1), fresh_key=fresh_key)
    assert write.update["$set"].get("key_generation") == expected


@pytest.mark.parametrize(
    ("deadline", "removed"), [(EARLIER, True), (NOW, True), (LATER, False), (None, False)]
)
def test_a_retry_removes_a_deadline_that_has_passed(
    deadline: datetime | None, removed: bool
) -> None:
    """Otherwise the next sweep would fail it again."""
    write = changes.retry(NOW, a_failed(deadline_at=deadline), fresh_key=False)
    assert ("deadline_at" in write.update["$set"]) is removed
    assert write.update["$set"].get("deadline_at") is None


def test_a_retry_of_what_was_never_adopted_leaves_it_without_a_fence() -> None:
    """So that it is read anew, as the document that it is."""
    document = foreign(_id="ctx_1", status="failed", updated_at=EARLIER)
    write = changes.retry(NOW, document, fresh_key=True)
    assert write.filter == {
        "_id": "ctx_1", "status": {"$in": ["cancelled", "failed"]}, "updated_at": EARLIER,
        "kind": {"$ne": "parent"},
    }  # fmt: skip
    assert write.update["$set"] == {"status": "pending", "updated_at": NOW, "available_at": NOW}
    assert "fence" not in write.update.get("$unset", {})
    assert {"error", "completed_at"} <= write.update["$unset"].keys()


def test_two_operators_retry_once() -> None:
    """The second finds another time of change, even in a document that has no generation."""
    document = foreign(_id="ctx_1", status="failed")
    assert changes.retry(NOW, document, fresh_key=False).filter["updated_at"] is None


def test_adoption_insists_on_what_it_read() -> None:
    """Each field as it was, or not there; and nobody may have adopted the document meanwhile."""
    read = {"service_type": ABSENT, "tags": {"$gt": 1}, "priority": None}
    write = changes.adopt(
        NOW, foreign(_id="ctx_1"), read=read, changes={"fence": 0}, originals={}
    )  # fmt: skip
    assert write.filter == {
        "_id": "ctx_1",
        "status": "pending",
        "fence": {"$not": {"$gte": 0, "$lt": 2**53, "$type": ["int", "long"]}},
        "service_type": {"$exists": False},
        "tags": {"$eq": {"$gt": 1}},
        "priority": {"$eq": None},
    }
    assert write.update == {"$set": {"fence": 0, "updated_at": NOW}}


def test_adoption_keeps_what_it_overwrites() -> None:
    """Under `adopted`, beside the fields of the contract."""
    write = changes.adopt(
        NOW, foreign(), read={"fence": ABSENT}, changes={"priority": 5}, originals={"priority": 77}
    )
    assert write.filter["fence"] == {"$exists": False}
    assert write.update["$set"]["adopted"] == {"priority": 77}


def test_what_cannot_be_read_gets_a_reason_and_no_fence() -> None:
    """A retry adopts it anew; and one that was adopted meanwhile is not failed."""
    write = OTHERS["adopt fail"][1]
    assert write.filter["fence"] == {"$not": {"$gte": 0, "$lt": 2**53, "$type": ["int", "long"]}}
    assert write.update["$set"]["error"]["message"] == "no answer"
    assert "fence" not in write.update["$set"]
