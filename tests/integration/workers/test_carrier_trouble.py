"""What comes between a call and its outcome: cancelling, lost leases, outages and shutdown."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from agent.models import AttemptRecord, Document
from agent.services import COMMUNICATION
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers.call import ServiceRequest
from tests.factories import LONG_AGO
from tests.faults.proxy import Proxy
from tests.integration.workers.stage import BASE_URL, Blocking, Process, Scripted, process, reply
from tests.waiting import wait_until

MOMENT = timedelta(seconds=0.1)


class Mail(Scripted):
    """One whose service does not do a thing twice on a guess."""

    service = COMMUNICATION


class Slow(Scripted):
    """One that needs long before it sends anything."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.building = Blocking()

    def build_request(self, context: Document) -> ServiceRequest:
        self.building(context)
        return super().build_request(context)


@pytest.fixture
def worker() -> Scripted:
    """One that is held amid its call."""
    worker = Scripted({"late": True})
    worker.before = Blocking()
    return worker


def amid(worker: Scripted) -> Blocking:
    assert isinstance(worker.before, Blocking)
    return worker.before


def begin(found: Process, blocking: Blocking) -> threading.Thread:
    """Have one context carried out up to where it is held."""
    found.insert()
    [claim] = found.claim()
    thread = found.begin(claim)
    assert blocking.entered.wait(10)
    return thread


def test_the_result_of_a_cancelled_context_is_dropped(
    repository: MongoContextRepository, worker: Scripted
) -> None:
    """Its call ends; nobody waits for it any more."""
    with process(repository, worker) as found:
        thread = begin(found, amid(worker))
        cancelled = repository.cancel("ctx_1")
        amid(worker).go_on.set()
        thread.join()
        assert found.document() == cancelled


def test_a_worker_that_lost_its_lease_writes_nothing(
    repository: MongoContextRepository, worker: Scripted
) -> None:
    """Another one may have the context by now."""
    with process(repository, worker) as found:
        thread = begin(found, amid(worker))
        repository.contexts.update_one({}, {"$set": {"lease.expires_at": LONG_AGO}})
        [expired] = repository.expired_leases()
        assert repository.rescue_processing(
            expired, delay=timedelta(0), attempt=AttemptRecord(number=1, outcome="lost")
        )
        repository.run_now("ctx_1")
        [again] = found.claim()
        before = found.document()
        amid(worker).go_on.set()
        thread.join()
        assert found.document() == before
        worker.answers = [{"second": True}]
        found.carrier.run("GENERATIVE", *again)
        assert found.document()["results"] == {"second": True}


def test_a_living_worker_keeps_its_lease(
    repository: MongoContextRepository, worker: Scripted
) -> None:
    """However long its call takes, it is renewed."""
    repository.settings = repository.settings.model_copy(update={"heartbeat_seconds": 0.05})
    with process(repository, worker) as found:
        begin(found, amid(worker))
        first = found.document()["lease"]["expires_at"]
        wait_until(lambda: found.document()["lease"]["expires_at"] > first)
        amid(worker).go_on.set()


def test_what_runs_is_told(repository: MongoContextRepository, worker: Scripted) -> None:
    """For the signs of life of its process."""
    with process(repository, worker) as found:
        thread = begin(found, amid(worker))
        [running] = found.carrier.running
        assert (running["context_id"], running["service_type"]) == ("ctx_1", "GENERATIVE")
        assert running["since_seconds"] >= 0
        amid(worker).go_on.set()
        thread.join()
        assert found.carrier.running == []


# Shutdown


def test_a_call_that_ends_in_time_is_waited_for(
    repository: MongoContextRepository, worker: Scripted
) -> None:
    """The drain returns when it has been written."""
    with process(repository, worker) as found:
        begin(found, amid(worker))
        timer = threading.Timer(0.1, amid(worker).go_on.set)
        timer.start()
        found.carrier.drain(timedelta(seconds=20))
        assert found.document()["status"] == "completed"
        timer.join()


def test_what_comes_during_shutdown_goes_back(repository: MongoContextRepository) -> None:
    """It was only queued: another process has it at once."""
    worker = Scripted({})
    with process(repository, worker) as found:
        found.insert()
        [claim] = found.claim()
        found.carrier.drain(MOMENT)
        found.carrier.run("GENERATIVE", *claim)
        document = found.document()
    assert (document["status"], document["attempt"], worker.keys) == ("pending", 0, [])
    assert "lease" not in document


@pytest.mark.parametrize("ends_in_time", [True, False])
def test_what_was_not_sent_goes_back(
    repository: MongoContextRepository, ends_in_time: bool
) -> None:
    """Whether its thread notices in time or is settled by the drain; it is not sent after it."""
    worker = Slow({})
    with process(repository, worker) as found:
        thread = begin(found, worker.building)
        draining = threading.Thread(
            target=found.carrier.drain, args=(timedelta(seconds=20) if ends_in_time else MOMENT,)
        )
        draining.start()
        wait_until(found.carrier._draining.is_set)
        if not ends_in_time:
            draining.join()
        worker.building.go_on.set()
        thread.join()
        draining.join()
        document = found.document()
    assert (document["status"], document["failures"], worker.keys) == ("pending", 0, [])
    assert "lease" not in document


@pytest.mark.parametrize(
    ("kind", "status", "error"), [(Scripted, "scheduled", None), (Mail, "failed", "OutcomeUnknown")]
)
def test_what_was_sent_is_settled_as_its_service_says(
    repository: MongoContextRepository, kind: type[Scripted], status: str, error: str | None
) -> None:
    """Again under the same key, or parked; its own result comes too late."""
    worker = kind({"late": True})
    worker.before = Blocking()
    with process(repository, worker) as found:
        thread = begin(found, amid(worker))
        found.carrier.drain(MOMENT)
        settled = found.document()
        amid(worker).go_on.set()
        thread.join()
        assert found.document() == settled
    assert settled["status"] == status
    assert settled.get("error", {}).get("type") == error
    assert settled["attempts"][0]["definite"] is False


def test_a_poll_amid_shutdown_goes_back(repository: MongoContextRepository) -> None:
    """Asking changes nothing, even where a call would be parked."""

    class Asking(Mail):
        def poll(self, context: Document, *, attempt: Any) -> Any:
            attempt.before_send()
            self.before(context)
            return super().poll(context, attempt=attempt)

    worker = Asking(reply(200, {"status": "running"}))
    worker.before = Blocking()
    remote = {"status_url": f"{BASE_URL}/1", "accepted_at": repository.now(), "polls": 1}
    with process(repository, worker) as found:
        found.insert(remote=remote, attempt=1)
        [claim] = found.claim()
        thread = found.begin(claim)
        assert amid(worker).entered.wait(10)
        found.carrier.drain(MOMENT)
        document = found.document()
        amid(worker).go_on.set()
        thread.join()
    assert (document["status"], document["remote"]) == ("pending", remote)


# Outages of MongoDB


def test_a_reply_is_kept_until_mongodb_is_back(
    repository: MongoContextRepository,
    distant: MongoContextRepository,
    network: Proxy,
    worker: Scripted,
) -> None:
    """And written once, as the context is still its own."""
    with process(distant, worker) as found:
        thread = begin(found, amid(worker))
        network.cut()
        amid(worker).go_on.set()
        wait_until(lambda: found.carrier.running[0]["since_seconds"] > 0.7)
        network.mend()
        thread.join()
        document = repository.find_context("ctx_1")
    assert (document["status"], document["results"]) == ("completed", {"late": True})
    assert [attempt["outcome"] for attempt in document["attempts"]] == ["completed"]


@pytest.mark.parametrize("text", [b"completed", b"processed_by"], ids=["result", "start"])
def test_a_lost_answer_changes_nothing(
    repository: MongoContextRepository,
    distant: MongoContextRepository,
    network: Proxy,
    text: bytes,
) -> None:
    """It is read back by its token: begun once, called once, written once."""
    worker = Scripted({"done": True})
    with process(distant, worker) as found:
        found.insert()
        [claim] = found.claim()
        network.lose_answer_to(text)
        found.carrier.run("GENERATIVE", *claim)
        document = repository.find_context("ctx_1")
    assert network.lost_answers == 1
    assert (document["status"], document["attempt"], worker.keys) == ("completed", 1, ["ctx_1"])
    assert len(document["attempts"]) == 1


def test_a_start_waits_for_mongodb(
    repository: MongoContextRepository, distant: MongoContextRepository, network: Proxy
) -> None:
    """For as long as its claim stands; then the context is carried out."""
    worker = Scripted({"done": True})
    with process(distant, worker) as found:
        found.insert()
        [claim] = found.claim()
        network.cut()
        thread = found.begin(claim)
        wait_until(
            lambda: found.carrier.running and found.carrier.running[0]["since_seconds"] > 0.7
        )
        network.mend()
        thread.join()
        document = repository.find_context("ctx_1")
    assert (document["status"], worker.keys) == ("completed", ["ctx_1"])
