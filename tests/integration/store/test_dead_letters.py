"""What failed, by kind, asked of a real server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from agent.errors import RequestInvalid
from agent.fingerprint import fingerprint_of
from agent.models import KEPT_ATTEMPTS, AttemptRecord, ErrorRecord
from agent.store import changes, dead_letters
from agent.store.changes import Hold
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import UNKNOWN
from tests.factories import LONG_AGO, a_context, foreign
from tests.integration.store.failures import SECOND, a_failure

REASONS = (
    ("ServiceRejected", "user {} is not known"),
    ("ServiceFailed", "the service answered 503"),
    ("ServiceUnavailable", "10.0.{}.7:443 refused the connection"),
    ("OutcomeUnknown", "the work may have been done: no reply within {} s"),
)
POISON = ErrorRecord(type="PoisonContext", message="it ended its process (signal SIGKILL)")


@pytest.fixture(params=[True, False], ids=["together", "one by one"])
def counting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """So many are counted: far more than there are, or fewer."""
    counted = 1000 if request.param else 4
    monkeypatch.setattr(dead_letters, "COUNTED", counted)
    return counted


def test_ten_thousand_failures_are_four_kinds(repository: MongoContextRepository) -> None:
    """Counted exactly, with the first and the last, and an example of each."""
    repository.create_indexes()
    repository.insert_contexts(
        [a_failure(REASONS[n % 4][0], REASONS[n % 4][1].format(n), second=n) for n in range(10_000)]
    )
    repository.insert_contexts([a_context(), a_context(status="completed")])
    listed = repository.dead_letters()
    assert listed.is_complete
    assert {each.error_type: each.count for each in listed.kinds} == {
        reason: 2500 for reason, _ in REASONS
    }
    for each in listed.kinds:
        n = [reason for reason, _ in REASONS].index(str(each.error_type))
        assert each.is_exact
        assert (each.first_at, each.last_at) == (
            LONG_AGO + n * SECOND, LONG_AGO + (9996 + n) * SECOND,
        )  # fmt: skip
        example = repository.find_context(each.example_id)
        assert example["completed_at"] == each.last_at
        assert example["error"]["message"] == each.message == REASONS[n][1].format(9996 + n)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_kind_is_of_one_service(
    repository: MongoContextRepository, counting: int, indexed: bool
) -> None:
    """The same words of two services are two kinds; the most numerous come first."""
    if indexed:
        repository.create_indexes()
    repository.insert_contexts(
        [a_failure(second=n, service_type="ANALYSIS" if n < 3 else "GENERATIVE") for n in range(5)]
    )
    listed = repository.dead_letters()
    assert [(each.service_type, each.count, each.is_exact) for each in listed.kinds] == [
        ("ANALYSIS", 3, True), ("GENERATIVE", 2, True),
    ]  # fmt: skip
    assert {each.kind for each in listed.kinds} == {fingerprint_of("ServiceRejected", "no")}
    [alone] = repository.dead_letters(service_type="GENERATIVE").kinds
    assert (alone.service_type, alone.count) == ("GENERATIVE", 2)


def test_the_trend_is_of_the_last_day(repository: MongoContextRepository, counting: int) -> None:
    """By two hours, the latest last; what failed before, and what is no date, is in none."""
    repository.create_indexes()
    hours_ago = (0.5, 0.5, 1.5, 3, 23, 25, 1000)
    ends = [repository.now() - timedelta(hours=each) for each in hours_ago]
    repository.insert_contexts([{**a_failure(), "completed_at": end} for end in ends])
    [found] = repository.dead_letters().kinds
    assert found.trend == (1, *(0 for _ in range(9)), 1, 3)
    [lately] = repository.dead_letters(since=repository.now() - timedelta(hours=2)).kinds
    assert lately.trend == (*(0 for _ in range(11)), 3)


def test_the_trend_of_very_many_has_the_latest(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not all are counted, those are that failed last; and one without a date is first."""
    monkeypatch.setattr(dead_letters, "COUNTED", 4)
    repository.create_indexes()
    now = repository.now()
    ends = [now - timedelta(hours=each) for each in (10, 10, 10, 10, 1, 1, 1)]
    repository.insert_contexts([{**a_failure(), "completed_at": end} for end in ends])
    [found] = repository.dead_letters().kinds
    assert found.trend[-1] == 3


def test_a_failure_without_a_date_hides_no_other(repository: MongoContextRepository) -> None:
    """Other programs may leave it out."""
    repository.create_indexes()
    first = repository.now() - timedelta(hours=3)
    undated = {name: value for name, value in a_failure().items() if name != "completed_at"}
    repository.insert_contexts([{**a_failure(), "completed_at": first}, undated])
    [found] = repository.dead_letters().kinds
    assert (found.count, found.first_at) == (2, first)


def test_since_leaves_out_what_failed_before(
    repository: MongoContextRepository, counting: int
) -> None:
    """And a kind that has not come up since."""
    repository.insert_contexts([a_failure(second=n) for n in range(6)])
    repository.insert_contexts([a_failure("Forbidden", second=n) for n in range(3)])
    since = LONG_AGO + 3 * SECOND
    [kind] = repository.dead_letters(since=since).kinds
    assert (kind.error_type, kind.count) == ("ServiceRejected", 3)
    assert (kind.first_at, kind.last_at) == (since, LONG_AGO + 5 * SECOND)


def test_a_million_is_not_counted_to_its_end(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One kind hides no other one, and says that there are more of it."""
    monkeypatch.setattr(dead_letters, "COUNTED", 10)
    repository.insert_contexts([a_failure(second=n) for n in range(30)])
    repository.insert_contexts([a_failure("Forbidden", second=n) for n in range(2)])
    listed = repository.dead_letters()
    assert [(each.error_type, each.count, each.is_exact) for each in listed.kinds] == [
        ("ServiceRejected", 10, False), ("Forbidden", 2, True),
    ]  # fmt: skip
    assert listed.kinds[0].last_at == LONG_AGO + 29 * SECOND
    assert listed.is_complete


def test_more_kinds_than_are_looked_at_are_told(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list says that it is not complete."""
    monkeypatch.setattr(dead_letters, "COUNTED", 1)
    monkeypatch.setattr(dead_letters, "MOST_KINDS", 3)
    repository.insert_contexts([a_failure(f"Error{n}") for n in range(5)])
    listed = repository.dead_letters()
    assert (len(listed.kinds), listed.is_complete) == (3, False)


@pytest.mark.parametrize(
    "error", [{"type": "Old", "message": "x"}, "boom", None, 7, {"fingerprint": None}]
)
def test_what_failed_before_is_of_an_unknown_kind(
    repository: MongoContextRepository, counting: int, error: Any
) -> None:
    """Or by another program, which need not say when either."""
    repository.insert_contexts([a_failure()])
    old = uuid4()
    repository.contexts.insert_one(foreign(_id=old, status="failed", error=error))
    [unknown] = [each for each in repository.dead_letters().kinds if each.kind == UNKNOWN]
    assert (unknown.service_type, unknown.count, unknown.example_id) == (None, 1, old)
    assert (unknown.first_at, unknown.last_at) == (None, None)


@pytest.mark.parametrize(
    "error", [{"type": {"a": 1}, "message": ["x"] * 9999, "fingerprint": {"$gt": ""}}, [{"a": 1}]]
)
def test_whatever_another_program_wrote_is_listed(
    repository: MongoContextRepository, error: Any
) -> None:
    """Of any type, and bounded."""
    repository.contexts.insert_many(
        [
            foreign(status="failed", error=error, service_type=service, completed_at="yesterday")
            for service in (7, {"$ne": 1}, ["a"], None)
        ]
    )
    [unknown] = repository.dead_letters().kinds
    assert (unknown.kind, unknown.service_type, unknown.count) == (UNKNOWN, None, 4)
    assert len(unknown.message or "") <= dead_letters.LONGEST_TEXT


@pytest.mark.parametrize("asked", [{"service_type": {"$gt": ""}}, {"since": {"$gt": 0}}])
def test_no_value_is_an_operator(repository: MongoContextRepository, asked: Any) -> None:
    """It is refused before anything is asked."""
    with pytest.raises(RequestInvalid):
        repository.dead_letters(**asked)


def test_poison_is_one_kind_of_its_service(repository: MongoContextRepository) -> None:
    """Whichever signal ended it."""
    repository.insert_contexts(
        [
            a_failure(POISON.type, f"it ended its process (signal {name})", service_type=service)
            for name in ("SIGKILL", "SIGSEGV")
            for service in ("ANALYSIS", "GENERATIVE")
        ]
    )
    kinds = repository.dead_letters().kinds
    assert [(each.service_type, each.count) for each in kinds] == [
        ("ANALYSIS", 2), ("GENERATIVE", 2),
    ]  # fmt: skip


def test_its_attempts_are_kept_through_retries(repository: MongoContextRepository) -> None:
    """The newest twenty, each with the kind of its error."""
    repository.insert_contexts([a_context(_id="ctx_1")])
    for number in range(1, 26):
        [claim] = repository.claim("GENERATIVE", calls=1, lease=30 * SECOND, owner="b")
        token = f"token_{number}"
        assert repository.start(claim, owner="w", token=token, lease=30 * SECOND) is not None
        attempt = AttemptRecord(number=number, outcome="failed", error=POISON, token=token)
        hold = Hold("ctx_1", claim.fence, token)
        assert repository.write_back(
            changes.fail(repository.now(), hold, error=POISON, attempt=attempt)
        )
        repository.retry("ctx_1")
    document = repository.find_context("ctx_1")
    assert [entry["number"] for entry in document["attempts"]] == list(range(6, 26))
    assert len(document["attempts"]) == KEPT_ATTEMPTS
    kinds = {entry["error"]["fingerprint"] for entry in document["attempts"]}
    assert kinds == {fingerprint_of(POISON.type, POISON.message)}
    assert (document["generation"], document["attempt"]) == (25, 25)


def test_contexts_are_listed_by_what_is_known_of_their_error(
    repository: MongoContextRepository,
) -> None:
    """By kind, type, tag and when they were made; a kind is of what failed alone."""
    repository.insert_contexts(
        [
            a_failure(_id="r", tags={"team": "north"}),
            a_failure("Forbidden", _id="f", tags=["team:south"]),
            {**foreign(_id="old"), **a_context(_id="old", status="failed"), "error": "boom"},
            a_context(_id="done", status="completed", created_at=LONG_AGO + 9 * SECOND),
        ]
    )

    def listed(**wanted: Any) -> set[Any]:
        return {each["_id"] for each in repository.list_contexts(**wanted)}

    assert listed(kind=fingerprint_of("ServiceRejected", "no")) == {"r"}
    assert listed(kind=UNKNOWN) == {"old"}
    assert listed(error_type="Forbidden") == {"f"}
    assert listed(tag=("team", "north")) == {"r"}
    assert listed(tag="team:south") == {"f"}
    assert listed(since=LONG_AGO + SECOND) == {"done"}
    with pytest.raises(RequestInvalid):
        listed(kind={"$gt": ""})
