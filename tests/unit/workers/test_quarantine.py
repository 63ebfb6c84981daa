"""How an outcome comes back from the child process of a quarantine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Int64, ObjectId

from agent import outcomes
from agent.models import ErrorRecord
from agent.outcomes import Kind, Outcome
from agent.store.connection import CODEC
from agent.workers.quarantine import _as_document, _outcome_in, _poison

ERROR = ErrorRecord(type="ServiceFailed", message="500", status_code=500, retryable=True)
WHOLE = Outcome(
    Kind.SNOOZE,
    error=ERROR,
    delay=timedelta(seconds=1.5),
    remote_url="http://base.example/1",
    pause=timedelta(minutes=2),
    definite=False,
)


def there_and_back(outcome: Outcome) -> Outcome | None:
    return _outcome_in(bson.encode(_as_document(outcome), codec_options=CODEC))


@pytest.mark.parametrize(
    "outcome",
    [
        WHOLE,
        outcomes.completed({"text": "Hello"}),
        outcomes.completed(None),
        outcomes.failed(ERROR),
        outcomes.retry(ERROR, definite=False),
        outcomes.accepted("http://base.example/1", delay=timedelta(seconds=3)),
        outcomes.accepted(error=ERROR),
        outcomes.released(),
    ],
    ids=lambda outcome: str(outcome.kind),
)
def test_an_outcome_comes_back_as_it_was(outcome: Outcome) -> None:
    """Every part of it."""
    assert there_and_back(outcome) == outcome


@pytest.mark.parametrize(
    "value",
    [
        ObjectId("0123456789abcdef01234567"),
        UUID("12345678-1234-5678-1234-567812345678"),
        datetime(2025, 3, 1, 12, tzinfo=UTC),
        Int64(2**60),
        b"\x00\xff",
        [1, 2.5, None, {"nested": True}],
        {"$ref": "x", "$id": 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_result_keeps_its_types(value: Any) -> None:
    """What the worker would have stored itself."""
    found = there_and_back(outcomes.completed({"value": value}))
    assert found is not None
    assert found.results == {"value": value}


@pytest.mark.parametrize(
    "output",
    [b"", b"\x05", bson.encode(_as_document(WHOLE))[:-3], b"Segmentation fault\n"],
    ids=["nothing", "a byte", "cut short", "other words"],
)
def test_a_child_that_died_wrote_no_outcome(output: bytes) -> None:
    """Half of one is none."""
    assert _outcome_in(output) is None


@pytest.mark.parametrize(
    ("code", "how"), [(-9, "signal SIGKILL"), (-11, "signal SIGSEGV"), (3, "exit code 3")]
)
def test_a_death_in_quarantine_is_the_contexts_own(code: int, how: str) -> None:
    """It failed for good; whether its service did anything is open."""
    outcome = _poison(code)
    assert (outcome.kind, outcome.definite) == (Kind.FAILED, False)
    assert outcome.error is not None
    assert outcome.error.type == "PoisonContext"
    assert how in outcome.error.message
