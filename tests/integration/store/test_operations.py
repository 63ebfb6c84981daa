"""What people and their programs ask of a real server."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from agent.errors import AlreadyStored, ContextNotFound, IllegalTransition, NotStorable
from agent.models import FINAL, Document, Status
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers.encoding import idempotency_key
from tests.factories import LONG_AGO, a_context, a_lease, foreign

SECOND = timedelta(seconds=1)
OPEN = [status for status in Status if status not in FINAL]


def insert(repository: MongoContextRepository, **fields: Any) -> Any:
    document = a_context(**{"_id": "ctx_1", **fields})
    repository.contexts.insert_one(document)
    return document["_id"]


def an_attempt(outcome: str = "failed", number: int = 1, definite: bool = True) -> Document:
    error = {"type": "ServiceRejected", "message": "no", "status_code": 400}
    answered = {"error": error} if outcome == "failed" and definite else {}
    return {"number": number, "outcome": outcome, "definite": definite, **answered}


# Insert, show, count, list


def test_what_was_inserted_is_found_whole(repository: MongoContextRepository) -> None:
    """Its status alone, too."""
    documents = [a_context(), a_context(status="scheduled")]
    repository.insert_contexts(documents)
    assert [repository.find_context(each["_id"]) for each in documents] == documents
    assert repository.find_status(documents[1]["_id"]) is Status.SCHEDULED


@pytest.mark.parametrize("ask", ["find_context", "find_status", "cancel", "run_now", "retry"])
def test_one_that_is_not_there_is_told(repository: MongoContextRepository, ask: str) -> None:
    """By its id."""
    with pytest.raises(ContextNotFound, match="ctx_0"):
        getattr(repository, ask)("ctx_0")


@pytest.mark.parametrize("status", ["exotic", 7, None, ["exotic"], {"is": "pending"}])
def test_a_status_that_there_is_not_is_no_error(
    repository: MongoContextRepository, status: Any
) -> None:
    """Another program may have written it; it can be neither retried nor cancelled."""
    repository.contexts.insert_one(foreign(_id="odd", status=status))
    assert repository.find_status("odd") is None
    for ask in (repository.retry, repository.cancel, repository.run_now):
        with pytest.raises(IllegalTransition):
            ask("odd")


def test_an_id_is_inserted_once(repository: MongoContextRepository) -> None:
    """The second one is told."""
    insert(repository)
    with pytest.raises(AlreadyStored):
        repository.insert_contexts([a_context(_id="ctx_1")])


def test_what_mongodb_refuses_is_told_as_such(repository: MongoContextRepository) -> None:
    """No other try would help."""
    with pytest.raises(NotStorable):
        repository.insert_contexts([{**a_context(), "metadata": {"n": 2**70}}])


def test_contexts_are_counted_by_service_and_status(repository: MongoContextRepository) -> None:
    """With their index and where it is missing; what has no service yet is counted apart."""
    repository.insert_contexts(
        [a_context(), a_context(), a_context(status="failed"), a_context(service_type="ANALYSIS")]
    )
    repository.contexts.insert_one(foreign())
    for _ in range(2):
        counts = repository.count_by_status()
        assert counts.pop("GENERATIVE") == {"pending": 2, "failed": 1}
        assert counts.pop("ANALYSIS") == {"pending": 1}
        assert list(counts.values()) == [{"pending": 1}]
        repository.create_indexes()


def test_the_oldest_pending_of_each_service_is_known(repository: MongoContextRepository) -> None:
    """Of those that may run now."""
    later = repository.now() + 60 * SECOND
    repository.insert_contexts(
        [
            a_context(available_at=LONG_AGO + SECOND),
            a_context(available_at=LONG_AGO),
            a_context(service_type="ANALYSIS", available_at=later),
            a_context(service_type="COMMUNICATION", status="completed"),
        ]
    )
    repository.contexts.insert_one(foreign(service_type="ANALYSIS"))
    assert repository.oldest_pending() == {"GENERATIVE": LONG_AGO}


def test_contexts_are_listed_newest_first_without_what_they_carry(
    repository: MongoContextRepository,
) -> None:
    """By service, by status, by both, or all; so many at most."""
    for number in range(4):
        insert(
            repository,
            _id=f"ctx_{number}",
            created_at=LONG_AGO + number * SECOND,
            status="failed" if number % 2 else "completed",
            service_type="ANALYSIS" if number < 2 else "GENERATIVE",
            results={"text": "long"},
            attempts=[an_attempt()],
        )

    def listed(**wanted: Any) -> list[str]:
        return [str(each["_id"]) for each in repository.list_contexts(**wanted)]

    assert listed() == ["ctx_3", "ctx_2", "ctx_1", "ctx_0"]
    assert listed(limit=2) == ["ctx_3", "ctx_2"]
    assert listed(status=Status.FAILED) == ["ctx_3", "ctx_1"]
    assert listed(service_type="ANALYSIS") == ["ctx_1", "ctx_0"]
    assert listed(service_type="ANALYSIS", status=Status.FAILED) == ["ctx_1"]
    [document] = repository.list_contexts(limit=1)
    assert not {"results", "attempts"} & set(document)
    assert "service_template" not in document["template"]
    assert "data" not in document["request"]


# Cancel, run now


@pytest.mark.parametrize("status", OPEN)
def test_whatever_is_not_final_is_cancelled(
    repository: MongoContextRepository, status: Status
) -> None:
    """Its lease and what was accepted of it end with it."""
    insert(repository, status=status, lease=a_lease(), remote={"accepted_at": LONG_AGO})
    document = repository.cancel("ctx_1")
    assert document["status"] == "cancelled"
    assert not {"lease", "remote"} & set(document)
    assert abs(document["completed_at"] - repository.now()) < 5 * SECOND


@pytest.mark.parametrize("status", sorted(FINAL))
def test_what_is_final_stays_what_it_is(repository: MongoContextRepository, status: Status) -> None:
    """A result is not cancelled."""
    insert(repository, status=status)
    before = repository.find_context("ctx_1")
    with pytest.raises(IllegalTransition, match=str(status)):
        repository.cancel("ctx_1")
    assert repository.find_context("ctx_1") == before


def test_what_is_scheduled_runs_now(repository: MongoContextRepository) -> None:
    """It is pending from now on; nothing else is."""
    insert(repository, status="scheduled", available_at=repository.now() + 600 * SECOND)
    document = repository.run_now("ctx_1")
    assert (document["status"], document["wait_reason"]) == ("pending", None)
    assert document["available_at"] <= repository.now()
    with pytest.raises(IllegalTransition, match="pending"):
        repository.run_now("ctx_1")


# Retry


def test_a_retry_is_a_new_generation_with_its_history(repository: MongoContextRepository) -> None:
    """Limits begin anew; what the last generation left behind is gone."""
    past = repository.now() - 60 * SECOND
    insert(
        repository, status="failed", failures=20, crashes=3, snoozes=7, attempt=23, fence=30,
        attempts=[an_attempt()], error={"type": "X", "message": "x"}, results={"a": 1},
        remote={"accepted_at": LONG_AGO}, expire_at=past, deadline_at=past, completed_at=past,
        generation=1, key_generation=1,
    )  # fmt: skip
    document = repository.retry("ctx_1")
    assert (document["status"], document["generation"]) == ("pending", 2)
    assert [document[name] for name in ("failures", "crashes", "snoozes")] == [0, 0, 0]
    assert not {"error", "results", "remote", "expire_at", "lease"} & set(document)
    assert (document["deadline_at"], document["completed_at"]) == (None, None)
    assert (document["attempt"], document["fence"], len(document["attempts"])) == (23, 30, 1)
    assert document["available_at"] <= repository.now()


def test_a_deadline_that_lies_ahead_stands(repository: MongoContextRepository) -> None:
    """Only one that has passed would fail it again at once."""
    ahead = repository.now() + 600 * SECOND
    insert(repository, status="cancelled", deadline_at=ahead)
    assert repository.retry("ctx_1")["deadline_at"] == ahead


@pytest.mark.parametrize("status", [each for each in Status if each not in ("failed", "cancelled")])
def test_only_what_failed_or_was_cancelled_is_tried_again(
    repository: MongoContextRepository, status: Status
) -> None:
    """What runs would run twice, what succeeded is done."""
    insert(repository, status=status)
    with pytest.raises(IllegalTransition, match=str(status)):
        repository.retry("ctx_1")


@pytest.mark.parametrize(
    ("document", "fresh"),
    [
        ({"attempts": [an_attempt()]}, True),
        ({"attempts": [an_attempt("retry")]}, True),
        ({"attempts": [an_attempt(definite=False)]}, False),
        ({"attempts": [an_attempt("lost", definite=False)]}, False),
        ({"attempts": [an_attempt(definite=False), an_attempt()]}, True),
        ({"attempts": [an_attempt(), an_attempt(definite=False)]}, False),
        ({"attempts": []}, False),
        ({"status": "cancelled", "attempts": [an_attempt("retry")]}, True),
        ({"status": "cancelled", "attempt": 2, "attempts": [an_attempt("retry")]}, False),
        ({"status": "cancelled", "attempts": [an_attempt("accepted")]}, False),
        ({"status": "failed", "attempts": [an_attempt("accepted"), an_attempt()]}, True),
        ({"attempts": [{"number": 1, "outcome": "failed"}]}, False),
        ({"attempt": 2, "attempts": [an_attempt("retry", definite=False),
                                     an_attempt("retry", 2)]}, False),
        ({"attempt": 2, "attempts": [an_attempt("retry"), an_attempt("retry", 2)]}, True),
        ({"attempt": 3, "attempts": [an_attempt("retry", 2), an_attempt("retry", 3)]}, False),
    ],
    ids=["refused", "last retry", "unknown", "lost", "refused at last", "unknown at last", "never",
         "cancelled while it waited", "cancelled amid the call", "cancelled after it was accepted",
         "accepted and refused", "not told", "unreachable after an unknown", "never reachable",
         "one forgotten"],
)  # fmt: skip
def test_the_service_sees_a_new_key_only_after_a_definite_reply(
    repository: MongoContextRepository, document: Document, fresh: bool
) -> None:
    """After anything that may have had its effect the old key protects from doing it twice."""
    repository.contexts.insert_one(
        {**a_context(_id="ctx_1", status="failed", attempt=1), **document}
    )
    retried = repository.retry("ctx_1")
    assert retried["generation"] == 1
    assert idempotency_key(retried) == ("ctx_1:1" if fresh else "ctx_1")


@pytest.mark.parametrize("definite", [True, False])
@pytest.mark.parametrize("fresh_key", [True, False])
def test_an_operator_may_say_which_key(
    repository: MongoContextRepository, definite: bool, fresh_key: bool
) -> None:
    """Whatever the last outcome was."""
    insert(repository, status="failed", attempts=[an_attempt(definite=definite)])
    retried = repository.retry("ctx_1", fresh_key=fresh_key)
    assert idempotency_key(retried) == ("ctx_1:1" if fresh_key else "ctx_1")


def test_a_key_that_was_kept_is_kept_through_generations(
    repository: MongoContextRepository,
) -> None:
    """Until a definite reply; then it takes the number of its generation."""
    insert(repository, status="failed", attempt=1, attempts=[an_attempt(definite=False)])
    keys = []
    for definite in (False, True, False):
        keys.append(idempotency_key(repository.retry("ctx_1")))
        repository.contexts.update_one(
            {"_id": "ctx_1"},
            {"$set": {"status": "failed"}, "$push": {"attempts": an_attempt(definite=definite)}},
        )
    keys.append(idempotency_key(repository.retry("ctx_1")))
    assert keys == ["ctx_1", "ctx_1", "ctx_1:3", "ctx_1:3"]


def test_a_document_that_was_never_adopted_is_adopted_anew(
    repository: MongoContextRepository,
) -> None:
    """It gets no fence and no generation from a retry."""
    document_id = uuid4()
    error = {"type": "ContextUnreadable", "message": "no template"}
    repository.contexts.insert_one(
        foreign(_id=document_id, status="failed", error=error, completed_at=LONG_AGO)
    )
    retried = repository.retry(document_id)
    assert retried["status"] == "pending"
    assert not {"fence", "generation", "error", "completed_at"} & set(retried)
    assert repository.foreign() == [document_id]


def test_of_two_retries_at_once_one_counts(repository: MongoContextRepository) -> None:
    """Two operators pressed the same button: one generation more."""
    insert(repository, status="failed", attempts=[an_attempt()])
    together = threading.Barrier(2)

    def retry(_: int) -> bool:
        together.wait(10)
        try:
            repository.retry("ctx_1")
        except IllegalTransition:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(retry, range(2))) == [False, True]
    assert repository.find_context("ctx_1")["generation"] == 1
