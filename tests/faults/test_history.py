"""The check of a run is itself checked: whatever must not be is found in a forged history."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from agent.models import Document
from tests.factories import a_context, a_lease, a_request
from tests.faults.history import History, violations

RESULTS = {"success": True, "text": "Hello"}
SHA256 = hashlib.sha256(b'{"success":true,"text":"Hello"}').hexdigest()


def a_document(**fields: Any) -> Document:
    """A context that was completed at its second attempt."""
    attempts = [
        {"number": 1, "fence": 1, "outcome": "retry"},
        {"number": 2, "fence": 2, "outcome": "completed"},
    ]
    ended = {"status": "completed", "results": RESULTS, "attempt": 2, "fence": 2}
    return {
        **a_context(_id="ctx_1", request=a_request(id="req_1")),
        **ended,
        "attempts": attempts,
        **fields,
    }


def a_call(**fields: Any) -> dict[str, Any]:
    """The call that brought the result."""
    return {
        "path": "/api/v1/generate",
        "request_id": "req_1",
        "idempotency_key": "ctx_1",
        "attempt": 2,
        "status": 200,
        "reply_sha256": SHA256,
        **fields,
    }


FIRST = a_call(attempt=1, status=503, reply_sha256="of the error")


def found_in(*documents: Document, calls: list[dict[str, Any]] | None = None) -> list[str]:
    return violations(History(["ctx_1"], documents, [FIRST, a_call()] if calls is None else calls))


def test_a_sound_run_has_no_violations() -> None:
    """Neither one that went well at the second attempt nor one that failed as planned."""
    assert found_in(a_document()) == []
    error = {"type": "ServiceRejected", "message": "no"}
    failed = a_document(status="failed", error=error, attempts=[], results=None)
    history = History(["ctx_1"], [failed], [FIRST])
    assert violations(history, {"ctx_1": "ServiceRejected"}) == []


@pytest.mark.parametrize(
    ("forged", "found"),
    [
        ({"status": "processing"}, "not final"),
        ({"lease": a_lease()}, "still has a lease"),
        ({"status": "failed", "error": {"type": "Odd"}}, "failed with Odd, planned was None"),
        ({"attempts": []}, "0 attempts that completed it"),
        ({"attempts": [{"outcome": "completed"}] * 2}, "2 attempts that completed it"),
        ({"attempts": a_document()["attempts"][::-1]}, "the fence of its attempts does not rise"),
        ({"attempts": a_document()["attempts"][::-1]}, "the number of its attempts does not rise"),
        ({"fence": 1}, "the fence of its last attempt is beyond its own"),
        ({"attempt": 1}, "the number of its last attempt is beyond its own"),
        ({"attempt": 1}, "called 2 times in 1 attempts"),
        ({"results": {"success": True, "text": "Bye"}}, "never served"),
    ],
)
def test_what_must_not_be_stored_is_found(forged: Document, found: str) -> None:
    """For every rule about documents there is one that breaks it."""
    assert any(found in violation for violation in found_in(a_document(**forged)))


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([a_call(), a_call()], "sent twice in one attempt ([2, 2])"),
        ([FIRST, a_call(idempotency_key="ctx_1:1")], "sent under other keys: ['ctx_1:1']"),
        ([FIRST, a_call(status=500)], "never served"),
        ([], "never served"),
    ],
)
def test_what_must_not_be_sent_is_found(calls: list[dict[str, Any]], found: str) -> None:
    """For every rule about calls there is a record that breaks it."""
    assert any(found in violation for violation in found_in(a_document(), calls=calls))


def test_what_is_lost_is_found() -> None:
    """An acknowledged insert whose document is gone."""
    assert found_in() == ["ctx_1: is lost"]
