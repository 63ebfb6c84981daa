"""Work that a service accepts and finishes later: one call, and as many polls as it takes."""

from __future__ import annotations

import pytest

from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import LONG_AGO
from tests.integration.workers.stage import (
    BASE_URL,
    Scripted,
    attempts_of,
    pause_of,
    process,
    reply,
)


def test_accepted_work_is_asked_for_until_it_is_done(repository: MongoContextRepository) -> None:
    """One call, however many polls; none of them is an attempt."""
    location = f"{BASE_URL}/api/v1/contexts/7"
    answers = (
        reply(202, location=location),
        reply(200, {"status": "running"}),
        reply(500),
        reply(200, {"status": "completed", "text": "Hello"}),
    )
    worker = Scripted(*answers)
    with process(repository, worker) as found:
        found.insert()
        seen = []
        for _ in answers:
            found.carry()
            document = found.document()
            seen.append((document["status"], document["wait_reason"], attempts_of(document)))
            if document["status"] == "scheduled":
                assert document["remote"]["status_url"] == location
                found.repository.run_now("ctx_1")
    polling = ("scheduled", "poll", ["accepted"])
    assert seen == [polling] * 3 + [("completed", None, ["accepted", "completed"])]
    assert (document["attempt"], document["failures"], document["fence"]) == (1, 0, 4)
    assert document["results"] == {"status": "completed", "text": "Hello"}
    assert "remote" not in document
    assert (worker.keys, worker.polls) == (["ctx_1"], 3)


def test_accepted_work_that_is_never_finished_fails(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its time is over, whatever the service says."""
    monkeypatch.setenv("GENERATION_BASE_ACCEPTED_TIMEOUT", "3600")
    remote = {"status_url": f"{BASE_URL}/1", "accepted_at": LONG_AGO, "polls": 99}
    with process(repository, Scripted(reply(200, {"status": "running"}))) as found:
        found.insert(remote=remote, attempt=1)
        found.carry()
        document = found.document()
    assert (document["status"], document["error"]["type"]) == ("failed", "AcceptedTimeout")
    assert "remote" not in document


def test_a_wrong_key_while_polling_keeps_what_was_accepted(
    repository: MongoContextRepository,
) -> None:
    """The service has the work; it is asked again when the pause is over."""
    remote = {"status_url": f"{BASE_URL}/1", "accepted_at": repository.now(), "polls": 1}
    with process(repository, Scripted(reply(401))) as found:
        found.insert(remote=remote, attempt=1)
        found.carry()
        document, pause = found.document(), pause_of(found)
    assert (document["wait_reason"], document["remote"]["polls"]) == ("poll", 2)
    assert pause is not None
    assert pause.by == "unauthorized"
