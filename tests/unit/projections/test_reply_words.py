"""How a call was answered, in one word, from its attempt as it is stored."""

from __future__ import annotations

from typing import Any

import pytest

from agent.models import Document, ErrorRecord
from agent.projections.reply_words import (
    MOST,
    NO_REPLY,
    NOT_SENT,
    OK,
    OTHER,
    REFUSED,
    TIMEOUT,
    TLS,
    TOO_LARGE,
    UNREACHABLE,
    UNUSABLE,
    bounded,
    reply_word,
)
from agent.store.changes import with_kind


def an_attempt(
    error_type: str, message: str = "x", status: int | None = None, **fields: Any
) -> Document:
    error = ErrorRecord(type=error_type, message=message, status_code=status)
    return {"outcome": "retry", "error": with_kind(error), **fields}


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        ({"outcome": "completed"}, OK),
        ({"outcome": "accepted"}, OK),
        (an_attempt("ServiceFailed", status=503), "503"),
        (an_attempt("TooManyRequests", status=429), "429"),
        (an_attempt("ServiceFailed", status=529), "529"),
        (an_attempt("OutcomeUnknown", "the work may have been done: x", 500), "500"),
        (an_attempt("ServiceRefused", status=200), REFUSED),
        (an_attempt("UnreadableReply", status=200), UNUSABLE),
        (an_attempt("UnexpectedRedirect", status=202), UNUSABLE),
        (an_attempt("OutcomeUnknown", "no whole reply within the deadline"), TIMEOUT),
        (an_attempt("ServiceUnavailable", "no connection within the deadline"), TIMEOUT),
        (an_attempt("ServiceUnavailable", "cannot connect to a.example:443: timed out"), TIMEOUT),
        (an_attempt("OutcomeUnknown",
                    "the work may have been done: no whole reply within the deadline"), TIMEOUT),
        (an_attempt("ReceiverUnavailable", "no whole reply within the deadline"), TIMEOUT),
        (an_attempt("OutcomeUnknown", "no whole reply: Connection reset by peer"), NO_REPLY),
        (an_attempt("ServiceUnavailable", "cannot connect to a.example:1: refused"), UNREACHABLE),
        (an_attempt("ReceiverUnavailable", "cannot connect", definite=True), UNREACHABLE),
        (an_attempt("ReceiverUnavailable", "no whole reply: reset", definite=False), NO_REPLY),
        (an_attempt("TlsFailed"), TLS),
        (an_attempt("ReplyTooLarge"), TOO_LARGE),
        (an_attempt("PlaceholderMissing"), NOT_SENT),
        (an_attempt("MyOwnError"), OTHER),
    ],
)  # fmt: skip
def test_each_answer_has_its_word(attempt: Document, expected: str) -> None:
    """A status as it is, and one word for each way of bringing none."""
    assert reply_word(attempt) == expected


@pytest.mark.parametrize(
    "attempt",
    [
        {}, {"outcome": "retry"}, {"outcome": "retry", "error": "x"},
        {"outcome": "retry", "error": {"type": ["x"], "status_code": "503"}},
        {"outcome": "retry", "error": {"type": "X", "status_code": 10**9, "fingerprint": {}}},
        {"outcome": ["completed"], "error": {"status_code": True}},
    ],
)  # fmt: skip
def test_whatever_another_program_wrote_has_a_word(attempt: Document) -> None:
    """And none that it has made up itself."""
    assert reply_word(attempt) == OTHER


def test_words_are_bounded_and_no_call_gets_lost() -> None:
    """A service may answer with every status that there is."""
    counts = {str(status): status for status in range(400, 500)} | {OTHER: 7}
    found = bounded(counts)
    assert len(found) == MOST
    assert sum(found.values()) == sum(counts.values())
    assert found["499"] == 499
    assert bounded({OK: 2, "503": 1}) == {OK: 2, "503": 1}
