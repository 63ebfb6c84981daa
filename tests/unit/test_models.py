"""What a context is, and which changes of its status there are."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64, ObjectId

from agent.models import (
    DEFAULT_PRIORITY,
    ENTRY_STATUSES,
    FINAL,
    TRANSITIONS,
    Change,
    Claim,
    Context,
    Status,
    clamp_priority,
    context_key,
    is_legal,
    new_id,
)
from tests.factories import LONG_AGO, a_context, a_lease, a_request, a_template

LEADS_TO = {
    "waiting": {"pending", "failed", "cancelled"},
    "scheduled": {"pending", "scheduled", "failed", "cancelled"},
    "pending": {"queued", "scheduled", "failed", "cancelled"},
    "queued": {"processing", "pending", "cancelled"},
    "processing": {"completed", "scheduled", "failed", "pending", "cancelled"},
    "completed": set(),
    "failed": {"pending", "scheduled", "waiting"},
    "cancelled": {"pending", "scheduled", "waiting"},
}
"""The table of docs/states.md, written down a second time."""

CHANGES = {
    "claim": ({"pending"}, "queued"),
    "start": ({"queued"}, "processing"),
    "complete": ({"processing"}, "completed"),
    "reschedule": ({"processing"}, "scheduled"),
    "fail": ({"processing"}, "failed"),
    "release": ({"queued", "processing"}, "pending"),
    "rescue_queued": ({"queued"}, "pending"),
    "rescue_processing": ({"processing"}, "scheduled"),
    "rescue_fail": ({"processing"}, "failed"),
    "promote": ({"scheduled"}, "pending"),
    "postpone": ({"scheduled"}, "scheduled"),
    "take_back": ({"pending"}, "scheduled"),
    "adopt_fail": ({"pending"}, "failed"),
    "expire": ({"pending", "scheduled", "waiting"}, "failed"),
    "cancel": ({"waiting", "pending", "scheduled", "queued", "processing"}, "cancelled"),
    "retry": ({"failed", "cancelled"}, "pending"),
    "retry_later": ({"failed", "cancelled"}, "scheduled"),
    "retry_blocked": ({"failed", "cancelled"}, "waiting"),
    "unblock": ({"waiting"}, "pending"),
    "block_again": ({"cancelled"}, "waiting"),
}
"""The same, by who does it."""

CROCKFORD = frozenset("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_there_are_eight_statuses() -> None:
    """Other programs read and write these words."""
    assert {str(status) for status in Status} == set(LEADS_TO)


@pytest.mark.parametrize(("source", "target"), list(itertools.product(Status, Status)))
def test_a_status_leads_where_the_table_says_and_nowhere_else(
    source: Status, target: Status
) -> None:
    """Every pair of statuses, legal or not."""
    assert is_legal(source, target) == (str(target) in LEADS_TO[str(source)])


@pytest.mark.parametrize("change", Change)
def test_a_change_starts_and_ends_where_the_table_says(change: Change) -> None:
    """None is without a line in the table, and none may start anywhere else."""
    sources, target = CHANGES[str(change)]
    assert {str(source) for source in TRANSITIONS[change].sources} == sources
    assert str(TRANSITIONS[change].target) == target


def test_only_an_operator_leaves_a_final_status() -> None:
    """A result that counts is never overwritten by a worker or a duty."""
    leaving = {change for change, t in TRANSITIONS.items() if t.sources & FINAL}
    assert leaving == {
        Change.RETRY, Change.RETRY_LATER, Change.RETRY_BLOCKED, Change.BLOCK_AGAIN,
    }  # fmt: skip
    assert not any(Status.COMPLETED in t.sources for t in TRANSITIONS.values())


def test_a_new_context_is_not_in_anybodys_hands() -> None:
    """It enters ready, scheduled or waiting for others."""
    assert {str(status) for status in ENTRY_STATUSES} == {"pending", "scheduled", "waiting"}


def test_an_id_is_a_prefix_and_a_ulid() -> None:
    """26 digits of Crockford's alphabet, which has no letter that reads like a number."""
    prefix, _, ulid = new_id("ctx").partition("_")
    assert prefix == "ctx"
    assert len(ulid) == 26
    assert set(ulid) <= CROCKFORD
    assert ulid[0] in "01234567"  # 128 bits in 130


def test_ids_sort_by_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A millisecond later is behind, whatever the random part."""
    made = []
    for milliseconds in (0, 1, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1):
        monkeypatch.setattr("agent.models.time.time", lambda now=milliseconds: now / 1000)
        made.append(new_id("ctx"))
    assert made == sorted(made)


def test_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eighty random bits keep machines apart that ask in the same millisecond."""
    monkeypatch.setattr("agent.models.time.time", lambda: 1_700_000_000.0)
    assert len({new_id("ctx") for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1), (5, 5), (10, 10), (Int64(3), 3), (2.0, 2), (9.9, 9)],
)
def test_a_priority_in_range_is_kept(value: object, expected: int) -> None:
    """As a whole number, whichever kind of number it came as."""
    priority = clamp_priority(value)
    assert priority == expected
    assert type(priority) is int


@pytest.mark.parametrize(
    "value",
    [None, 0, 11, -1, 0.9, 10.1, True, False, "1", "high", [], {}, float("nan"), float("inf")],
)
def test_a_priority_that_is_missing_or_out_of_range_is_the_default(value: object) -> None:
    """It is never taken for the nearest that would do."""
    assert clamp_priority(value) == DEFAULT_PRIORITY == 5


def test_a_document_has_the_fields_of_the_contract() -> None:
    """What other programs read is there from the beginning, but for what has no value yet."""
    assert set(a_context()) == {
        *("schema", "kind", "_id", "service_type", "status", "wait_reason", "priority"),
        *("template", "request", "step", "after", "tags", "metadata", "source"),
        *("created_at", "updated_at", "available_at", "deadline_at", "fence", "attempt"),
        *("failures", "max_attempts", "crashes", "snoozes", "generation", "key_generation"),
        *("attempts", "processed_by", "started_at", "completed_at"),
    }


def test_a_document_holds_plain_words() -> None:
    """A status is stored as text, so that any driver reads it back as text."""
    document = a_context(status="scheduled", wait_reason="retry")
    assert (document["status"], document["wait_reason"]) == ("scheduled", "retry")
    assert {type(document["status"]), type(document["wait_reason"])} == {str}


def test_a_document_is_read_back_as_it_was() -> None:
    """Fields of other programs and ids of any type included."""
    document = a_context(
        _id=ObjectId(), status="processing", lease=a_lease(), theirs={"x": [1]}, fence=3
    )
    assert Context.model_validate(document).to_document() == document
    assert document["theirs"] == {"x": [1]}


def test_each_context_has_attempts_and_steps_of_its_own() -> None:
    """No list or object is shared between two documents."""
    first, second = a_context(), a_context()
    for name in ("attempts", "after", "tags", "metadata"):
        first[name].append(1) if isinstance(first[name], list) else first[name].update(x=1)
    assert not any(second[name] for name in ("attempts", "after", "tags", "metadata"))


@pytest.mark.parametrize(
    ("claim_id", "polls"), [("poll_1a", True), ("claim_1a", False), ("polls", False), ("", False)]
)
def test_a_claim_says_whether_it_only_asks_for_accepted_work(claim_id: str, polls: bool) -> None:
    """The message to the actor carries no more than the claim."""
    assert Claim("ctx_1", 1, claim_id).polls is polls


@pytest.mark.parametrize(
    ("context_id", "expected"),
    [
        ("ctx_1", "ctx_1"),
        (42, "int:42"),
        (ObjectId("65f0c0ffee65f0c0ffee65f0"), "ObjectId:65f0c0ffee65f0c0ffee65f0"),
    ],
)
def test_an_id_is_told_as_text(context_id: Any, expected: str) -> None:
    """In logs and keys an `ObjectId` and a string of the same letters stay two."""
    assert context_key(context_id) == expected


def test_the_factories_build_what_the_contract_describes() -> None:
    """A made-up context is due for long, and its parts belong together."""
    context = a_context(service_type="ANALYSIS", priority=1)
    assert (context["service_type"], context["template"]["service_type"]) == ("ANALYSIS",) * 2
    assert (context["priority"], context["status"], context["fence"]) == (1, "pending", 0)
    assert context["available_at"] == LONG_AGO < datetime.now(UTC)
    assert a_template(parameters={"x": 1})["parameters"] == {"x": 1}
    assert a_request(data={"urgent": True})["data"] == {"urgent": True}
