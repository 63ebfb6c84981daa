"""Contexts that were there when processes died: carried out in a process of their own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest

from agent.models import QUARANTINE_AFTER, Document
from agent.replies import Reply
from agent.services import GENERATIVE
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers import quarantine
from agent.workers.call import Attempt, ServiceRequest
from agent.workers.worker_base import ClientWorker
from tests.conftest import ROOT
from tests.integration.workers.stage import process, reply


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of a context's own finds the worker's module."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


class Deadly(ClientWorker):
    """Does what its context says, in whatever process that is."""

    service = GENERATIVE

    def call(
        self, context: Document, request: ServiceRequest, *, attempt: Attempt
    ) -> Reply | Mapping[str, Any]:
        match context["request"]["data"]["deed"]:
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(60)  # ended from outside
            case "fail":
                return reply(500)
            case "raise":
                raise KeyError("a bug")
            case "print":
                sys.stdout.write("words of its own\n")
                os.write(1, b"and more\n")
        return {"pid": os.getpid(), "url": self.service_settings.url, "number": attempt.number}


def carried(
    repository: MongoContextRepository, deed: str, crashes: int = QUARANTINE_AFTER, **given: Any
) -> Document:
    """The context after it was carried out once."""
    with process(repository, Deadly(**given)) as found:
        found.insert(request={"id": "r", "data": {"deed": deed}}, crashes=crashes, attempt=4)
        found.carry()
        return found.document()


def test_one_crash_may_be_anybodys(repository: MongoContextRepository) -> None:
    """It runs beside the others."""
    document = carried(repository, "live", crashes=QUARANTINE_AFTER - 1)
    assert document["results"]["pid"] == os.getpid()


def test_after_two_it_has_a_process_of_its_own(repository: MongoContextRepository) -> None:
    """Which does the same work, with the same settings; whoever finishes is free of suspicion."""
    document = carried(repository, "live", base_url="http://base.example", api_key="k")
    assert document["status"] == "completed"
    assert document["results"]["pid"] != os.getpid()
    assert (document["results"]["url"], document["results"]["number"]) == ("http://base.example", 5)
    assert document["crashes"] == 0


@pytest.mark.parametrize(("deed", "how"), [("exit", "exit code 3"), ("kill", "signal SIGKILL")])
def test_one_that_ends_its_own_process_is_poison(
    repository: MongoContextRepository, deed: str, how: str
) -> None:
    """Nobody else was there: its death proves it. The worker lives on."""
    document = carried(repository, deed)
    assert (document["status"], document["error"]["type"]) == ("failed", "PoisonContext")
    assert how in document["error"]["message"]
    assert document["attempts"][0]["definite"] is False


@pytest.mark.parametrize(("deed", "kind"), [("fail", "ServiceFailed"), ("raise", "KeyError")])
def test_an_ordinary_failure_stays_one(
    repository: MongoContextRepository, deed: str, kind: str
) -> None:
    """It is tried again, and no crash is counted any more."""
    document = carried(repository, deed)
    assert (document["status"], document["wait_reason"]) == ("scheduled", "retry")
    assert (document["failures"], document["crashes"]) == (1, 0)
    assert document["attempts"][0]["error"]["type"] == kind


def test_what_it_prints_does_not_spoil_its_outcome(repository: MongoContextRepository) -> None:
    """Whether by Python or past it."""
    assert carried(repository, "print")["status"] == "completed"


def test_one_that_hangs_is_ended(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its deadline and a little more; what it did is not known."""
    monkeypatch.setattr(quarantine, "START_SECONDS", 1.5)
    document = carried(repository, "hang", timeout=0.1)
    assert (document["status"], document["wait_reason"]) == ("scheduled", "retry")
    assert document["attempts"][0]["error"]["type"] == "OutcomeUnknown"


def test_a_process_that_does_not_start_proves_nothing(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again: the machine may be full."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    document = carried(repository, "live")
    assert (document["status"], document["wait_reason"]) == ("scheduled", "retry")
    assert document["attempts"][0]["error"]["type"] == "QuarantineFailed"


def test_what_a_context_holds_reaches_its_process_as_it_is(
    repository: MongoContextRepository,
) -> None:
    """An object that looks like a reference is an object there, too."""
    with process(repository, Echo()) as found:
        link = {"$ref": "orders", "$id": 7, "more": 1}
        found.insert(request={"id": "r", "data": {"link": link}}, crashes=QUARANTINE_AFTER)
        found.carry()
        assert found.document()["results"] == {"data": {"link": link}, "kind": "dict"}


class Echo(ClientWorker):
    """Gives back what it got."""

    service = GENERATIVE

    def call(
        self, context: Document, request: ServiceRequest, *, attempt: Attempt
    ) -> Mapping[str, Any]:
        data = context["request"]["data"]
        return {"data": data, "kind": type(data["link"]).__name__}
