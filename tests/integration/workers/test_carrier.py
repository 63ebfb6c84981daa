"""One context from its claim to its outcome, by every row of the table, on a real MongoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from bson import Binary

from agent.errors import OutcomeUnknown, ServiceUnavailable
from agent.models import Document
from agent.services import COMMUNICATION
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.workers.stage import Process, Scripted, attempts_of, pause_of, process, reply

SECOND = timedelta(seconds=1)


class Mail(Scripted):
    """One whose service does not do a thing twice on a guess."""

    service = COMMUNICATION


def waits(document: Document, found: Process) -> timedelta:
    """For how long it waits."""
    return document["available_at"] - found.repository.now()  # type: ignore[no-any-return]


def test_a_success_is_written_whole(repository: MongoContextRepository) -> None:
    """Result, worker, times and the attempt; no lease is left."""
    with process(repository, Scripted(reply(200, {"text": "Hello"}))) as found:
        found.insert()
        [claim] = found.carry()
        document = found.document()
    assert (document["status"], document["results"]) == ("completed", {"text": "Hello"})
    assert (document["processed_by"], document["fence"]) == ("worker:1", claim.fence)
    assert document["started_at"] <= document["completed_at"]
    assert "lease" not in document
    [attempt] = document["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["worker"]) == (
        1,
        "completed",
        "worker:1",
    )
    assert (attempt["fence"], attempt["definite"]) == (claim.fence, True)
    assert len(attempt["trace_id"]) == 32


def test_plain_python_does_as_well_as_a_service(repository: MongoContextRepository) -> None:
    """What it returns is the result."""
    with process(repository, Scripted({"sum": 42, "parts": [1, {"n": None}]})) as found:
        found.insert()
        found.carry()
        assert found.document()["results"] == {"sum": 42, "parts": [1, {"n": None}]}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(500), "ServiceFailed"),
        (reply(503), "ServiceFailed"),
        (reply(200, "no object"), "UnreadableReply"),
        (reply(200, {"success": False, "retryable": True}), "ServiceRefused"),
        (ServiceUnavailable("cannot connect"), "ServiceUnavailable"),
        (OutcomeUnknown("no reply"), "OutcomeUnknown"),
        (KeyError("a bug"), "KeyError"),
    ],
)
def test_a_failure_that_may_pass_is_tried_again(
    repository: MongoContextRepository, answer: Any, kind: str
) -> None:
    """After a while, under the same key; it counts."""
    with process(repository, Scripted(answer, reply(200, {}))) as found:
        found.insert()
        found.carry()
        document = found.document()
        assert (document["status"], document["wait_reason"]) == ("scheduled", "retry")
        assert (document["failures"], document["attempt"]) == (1, 1)
        assert document["attempts"][0]["error"]["type"] == kind
        assert timedelta(0) < waits(document, found) <= 2 * SECOND
        found.repository.run_now("ctx_1")
        found.carry()
        document = found.document()
        assert (document["status"], attempts_of(document)) == ("completed", ["retry", "completed"])
        assert found.worker.keys == ["ctx_1", "ctx_1"]  # type: ignore[attr-defined]
    assert pause_of(found) is None


def test_the_last_attempt_fails_for_good(repository: MongoContextRepository) -> None:
    """With the error of the last call."""
    with process(repository, Scripted(reply(500))) as found:
        found.insert(failures=2, max_attempts=3, attempt=5)
        found.carry()
        document = found.document()
    assert (document["status"], document["failures"], document["attempt"]) == ("failed", 3, 6)
    assert document["error"]["type"] == "ServiceFailed"
    assert document["error"]["retryable"] is False


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(400, {"error": "bad"}), "ServiceRejected"),
        (reply(403), "Forbidden"),
        (reply(302, location="/login"), "UnexpectedRedirect"),
        (reply(200, {"success": False}), "ServiceRefused"),
    ],
)
def test_a_failure_that_stays_fails_at_once(
    repository: MongoContextRepository, answer: Any, kind: str
) -> None:
    """Trying again would change nothing."""
    with process(repository, Scripted(answer)) as found:
        found.insert()
        found.carry()
        document = found.document()
    assert (document["status"], document["error"]["type"]) == ("failed", kind)


@pytest.mark.parametrize(
    "answer", [reply(500), reply(200, "no object"), OutcomeUnknown("no reply"), KeyError("a bug")]
)
def test_mail_whose_fate_is_unknown_is_parked(
    repository: MongoContextRepository, answer: Any
) -> None:
    """An operator decides; the key is kept for it."""
    with process(repository, Mail(answer)) as found:
        found.insert()
        found.carry()
        document = found.document()
    assert (document["status"], document["error"]["type"]) == ("failed", "OutcomeUnknown")
    assert document["attempts"][0]["definite"] is False


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_asks_for_time_gets_it(
    repository: MongoContextRepository, status: int
) -> None:
    """The context waits without a failure, and the service pauses for all."""
    with process(repository, Scripted(reply(status, retry_after="30"))) as found:
        found.insert()
        found.carry()
        document = found.document()
        pause = pause_of(found)
        assert (document["wait_reason"], document["failures"]) == ("snooze", 0)
        assert document["snoozes"] == 1
        assert 25 * SECOND < waits(document, found) <= 30 * SECOND
    assert pause is not None
    assert pause.until is not None
    assert (pause.by, pause.context_id) == ("retry-after", "ctx_1")
    assert 25 * SECOND < pause.until - pause.since <= 31 * SECOND


def test_too_many_requests_without_a_time_pause_nobody(repository: MongoContextRepository) -> None:
    """Only this one waits, longer each time."""
    with process(repository, Scripted(reply(429))) as found:
        found.insert()
        found.carry()
        assert found.document()["wait_reason"] == "snooze"
        assert pause_of(found) is None


def test_a_wrong_key_pauses_the_service(repository: MongoContextRepository) -> None:
    """And fails nothing."""
    with process(repository, Scripted(reply(401))) as found:
        found.insert()
        found.carry()
        pause, document = pause_of(found), found.document()
    assert pause is not None
    assert (pause.by, document["status"], document["failures"]) == ("unauthorized", "scheduled", 0)


def test_an_operators_pause_stands_against_a_wrong_key(repository: MongoContextRepository) -> None:
    """It ends when the operator says."""
    with process(repository, Scripted(reply(401))) as found:
        found.insert()
        claims = found.claim()
        repository.pause_service("GENERATIVE", by="operator", reason="maintenance", until=None)
        for claim in claims:
            found.carrier.run("GENERATIVE", *claim)
        pause = pause_of(found)
    assert pause is not None
    assert (pause.by, pause.until) == ("operator", None)


def test_five_403s_in_a_row_pause_the_service(repository: MongoContextRepository) -> None:
    """From different contexts: a wrong key must not fail ten thousand of them."""
    with process(repository, Scripted(reply(403))) as found:
        for number in range(5):
            found.insert(f"ctx_{number}")
        found.carry()
        statuses = [found.document(f"ctx_{number}")["status"] for number in range(5)]
        pause = pause_of(found)
    assert statuses == ["failed"] * 4 + ["scheduled"]
    assert pause is not None
    assert (pause.by, pause.context_id) == ("forbidden", "ctx_4")


@pytest.mark.parametrize(
    "results", [{"n": 2**70}, {"a\0b": 1}, {"text": "\ud800"}, {"text": "x" * 17 * 1024 * 1024}]
)
def test_a_result_that_cannot_be_stored_is_a_clear_failure(
    repository: MongoContextRepository, results: Any
) -> None:
    """Not a crash loop; the service did the work, so the key is kept."""
    with process(repository, Scripted(results)) as found:
        found.insert()
        found.carry()
        document = found.document()
    assert (document["status"], document["error"]["type"]) == ("failed", "ResultNotStorable")
    assert document["attempts"][0]["definite"] is False


def test_a_context_that_cannot_be_decoded_fails(repository: MongoContextRepository) -> None:
    """Nobody could ever carry it out."""
    worker = Scripted({})
    with process(repository, worker) as found:
        found.insert()
        repository.contexts.update_one({}, {"$set": {"request.data.u": Binary(b"short", 4)}})
        found.carry()
        stored = repository.contexts.find_one({}, {"status": 1, "error": 1})
    assert stored is not None
    assert (stored["status"], stored["error"]["type"]) == ("failed", "ContextUnreadable")
    assert worker.keys == []


def test_a_message_that_is_delivered_twice_is_carried_out_once(
    repository: MongoContextRepository,
) -> None:
    """The second one is stale, and counted as such."""
    worker = Scripted({})
    with process(repository, worker) as found:
        found.insert()
        [claim] = found.carry()
        found.carrier.run("GENERATIVE", *claim)
        stale = found.carrier.signals._pending.counters.totals["stale_fence_total"]
    assert (worker.keys, stale) == (["ctx_1"], 1)


def test_many_threads_carry_out_many_contexts(repository: MongoContextRepository) -> None:
    """Each once, in groups of writes that they share."""
    worker = Scripted({"done": True})
    with process(repository, worker) as found:
        for number in range(60):
            found.insert(f"ctx_{number:02}")
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda claim: found.carrier.run("GENERATIVE", *claim), found.claim()))
    assert sorted(worker.keys) == [f"ctx_{number:02}" for number in range(60)]
    assert repository.count_by_status() == {"GENERATIVE": {"completed": 60}}
