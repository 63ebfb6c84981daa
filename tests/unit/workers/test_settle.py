"""What an outcome does to its context: the write that follows, and the record that is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent import outcomes
from agent.fingerprint import fingerprint_of
from agent.models import AttemptRecord, Document, ErrorRecord
from agent.outcomes import Kind, Outcome
from agent.store.changes import Hold, Write
from agent.workers.settle import Ran, is_last, record_of, write_of
from tests.factories import a_context, a_lease

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
STARTED_AT = NOW - timedelta(seconds=1)
SECOND = timedelta(seconds=1)
ERROR = ErrorRecord(type="ServiceFailed", message="the service answered 500", status_code=500)
STATUS_URL = "http://base.example/api/v1/contexts/1"


def running(**overrides: Any) -> Document:
    """A context that a worker has started."""
    return a_context(
        **{"_id": "ctx_1", "status": "processing", "fence": 3, "attempt": 2, "lease": a_lease(),
           "started_at": STARTED_AT, **overrides}
    )  # fmt: skip


def ran(polls: bool = False, **overrides: Any) -> Ran:
    return Ran(
        running(**overrides), Hold("ctx_1", 3, "token_1"), "worker:1", polls, 0.8124, "trace_1"
    )


def settled(outcome: Outcome, polls: bool = False, random: float = 0.5, **overrides: Any) -> Write:
    return write_of(outcome, ran(polls, **overrides), NOW, lambda: random)


def changed(write: Write) -> Document:
    return dict(write.update["$set"])


def attempt_of(write: Write) -> Document:
    [attempt] = write.update["$push"]["attempts"]["$each"]
    return dict(attempt)


EVERY_OUTCOME = {
    Kind.COMPLETED: outcomes.completed({"text": "Hello"}),
    Kind.FAILED: outcomes.failed(ERROR),
    Kind.RETRY: outcomes.retry(ERROR),
    Kind.SNOOZE: outcomes.snooze(ERROR),
    Kind.ACCEPTED: outcomes.accepted(STATUS_URL),
    Kind.RELEASED: outcomes.released(),
}


def test_there_is_an_outcome_of_every_kind() -> None:
    """So that the tests below leave none out."""
    assert set(EVERY_OUTCOME) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_every_outcome_is_written_under_the_hold_alone(kind: Kind) -> None:
    """Fence and token of the start, so that a late one changes nothing."""
    filter = settled(EVERY_OUTCOME[kind]).filter
    assert (filter["_id"], filter["fence"], filter["lease.token"]) == ("ctx_1", 3, "token_1")


@pytest.mark.parametrize("kind", Kind)
def test_every_outcome_ends_the_lease(kind: Kind) -> None:
    """Whatever follows, nobody holds it now."""
    assert "lease" in settled(EVERY_OUTCOME[kind]).update["$unset"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (Kind.COMPLETED, "completed"),
        (Kind.FAILED, "failed"),
        (Kind.RETRY, "scheduled"),
        (Kind.SNOOZE, "scheduled"),
        (Kind.ACCEPTED, "scheduled"),
        (Kind.RELEASED, "pending"),
    ],
)
def test_each_kind_leads_to_its_status(kind: Kind, status: str) -> None:
    """As the table of statuses says."""
    assert changed(settled(EVERY_OUTCOME[kind]))["status"] == status


def test_a_success_keeps_the_reply_as_it_came() -> None:
    """And ends every trace of what went before."""
    write = settled(outcomes.completed({"text": "Hello"}))
    assert changed(write)["results"] == {"text": "Hello"}
    assert (changed(write)["completed_at"], changed(write)["crashes"]) == (NOW, 0)
    assert {"remote", "error"} <= set(write.update["$unset"])
    assert "$inc" not in write.update


def test_a_failure_says_why_and_counts_nothing() -> None:
    """What cannot succeed has no use for its attempts."""
    write = settled(outcomes.failed(ERROR))
    assert changed(write)["error"] == {
        **ERROR.model_dump(exclude_none=True),
        "retryable": False,
        "fingerprint": fingerprint_of(ERROR.type, ERROR.message),
    }
    assert "$inc" not in write.update


def test_a_failure_without_an_error_still_says_something() -> None:
    """A worker of one's own may leave it out."""
    assert changed(settled(Outcome(Kind.FAILED)))["error"]["type"] == "Unknown"


@pytest.mark.parametrize(("failures", "seconds"), [(0, 1.5), (1, 3.0), (2, 6.0), (12, 450.0)])
def test_a_retry_waits_longer_each_time(failures: int, seconds: float) -> None:
    """Half of the wait is jittered; a failure is counted."""
    write = settled(outcomes.retry(ERROR), failures=failures)
    assert changed(write)["available_at"] == NOW + timedelta(seconds=seconds)
    assert changed(write)["wait_reason"] == "retry"
    assert write.update["$inc"] == {"failures": 1}


def test_a_retry_ends_a_row_of_snoozes() -> None:
    """They are counted in a row."""
    assert changed(settled(outcomes.retry(ERROR), snoozes=4))["snoozes"] == 0


def test_a_retry_waits_at_least_as_long_as_the_service_asked() -> None:
    """But never shorter than the back-off."""
    asked = Outcome(Kind.RETRY, error=ERROR, delay=60 * SECOND)
    assert changed(settled(asked))["available_at"] == NOW + 60 * SECOND
    assert changed(settled(asked, failures=12))["available_at"] == NOW + 450 * SECOND


@pytest.mark.parametrize(
    ("failures", "max_attempts", "last"),
    [(0, 20, False), (18, 20, False), (19, 20, True), (25, 20, True), (0, 1, True), (19, 0, True),
     (18, 0, False)],
)  # fmt: skip
def test_a_retry_is_the_last_when_the_limit_is_reached(
    failures: int, max_attempts: int, last: bool
) -> None:
    """Failures are counted, not calls; a limit that makes no sense is the default."""
    document = running(failures=failures, max_attempts=max_attempts)
    assert is_last(outcomes.retry(ERROR), document) == last
    status = changed(write_of(outcomes.retry(ERROR), ran(failures=failures,
                              max_attempts=max_attempts), NOW, lambda: 0.5))["status"]  # fmt: skip
    assert status == ("failed" if last else "scheduled")


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.RETRY])
def test_nothing_but_a_retry_uses_up_the_limit(kind: Kind) -> None:
    """A snooze, a poll or a release never counts."""
    assert not is_last(EVERY_OUTCOME[kind], running(failures=19))


def test_the_last_failure_is_counted_and_final() -> None:
    """Its record still says how the call ended."""
    write = settled(outcomes.retry(ERROR), failures=19)
    assert write.update["$inc"] == {"failures": 1}
    assert changed(write)["error"]["retryable"] is False
    assert attempt_of(write)["outcome"] == "retry"


def test_a_snooze_waits_as_long_as_was_asked() -> None:
    """And counts among snoozes only."""
    write = settled(outcomes.snooze(ERROR, 30 * SECOND))
    assert changed(write)["available_at"] == NOW + 30 * SECOND
    assert changed(write)["wait_reason"] == "snooze"
    assert write.update["$inc"] == {"snoozes": 1}


@pytest.mark.parametrize(("snoozes", "seconds"), [(0, 0.75), (1, 1.5), (3, 6.0), (20, 225.0)])
def test_a_snooze_without_a_time_grows(snoozes: int, seconds: float) -> None:
    """So that a service which only says `not now` is asked less and less."""
    write = settled(outcomes.snooze(ERROR), snoozes=snoozes)
    assert changed(write)["available_at"] == NOW + timedelta(seconds=seconds)


def test_accepted_work_is_kept_with_where_it_is_asked_for() -> None:
    """The call was one attempt; from now on it only polls."""
    write = settled(outcomes.accepted(STATUS_URL))
    assert changed(write)["remote"] == {"status_url": STATUS_URL, "accepted_at": NOW, "polls": 0}
    assert changed(write)["wait_reason"] == "poll"
    assert changed(write)["available_at"] == NOW + timedelta(seconds=0.375)
    assert attempt_of(write)["outcome"] == "accepted"
    assert "$inc" not in write.update


def test_a_poll_that_goes_on_leaves_no_attempt_behind() -> None:
    """It counts itself, waits longer, and keeps since when and where."""
    since = NOW - 60 * SECOND
    remote = {"status_url": STATUS_URL, "accepted_at": since, "polls": 3, "note": "kept"}
    write = settled(outcomes.accepted(), polls=True, remote=remote)
    assert changed(write)["remote"] == {**remote, "polls": 4}
    assert changed(write)["available_at"] == NOW + timedelta(seconds=0.5 * 1.5**3 * 0.75)
    assert "$push" not in write.update


def test_a_poll_follows_the_service_to_another_url() -> None:
    """And waits as long as it was told to."""
    remote = {"status_url": STATUS_URL, "accepted_at": NOW, "polls": 0}
    moved = outcomes.accepted(f"{STATUS_URL}/2", delay=7 * SECOND)
    write = settled(moved, polls=True, remote=remote)
    assert changed(write)["remote"]["status_url"] == f"{STATUS_URL}/2"
    assert changed(write)["available_at"] == NOW + 7 * SECOND


@pytest.mark.parametrize("kind", [Kind.COMPLETED, Kind.FAILED, Kind.RETRY, Kind.SNOOZE])
def test_the_end_of_accepted_work_removes_where_it_was_asked_for(kind: Kind) -> None:
    """Its next attempt, if there is one, is a call again."""
    remote = {"status_url": STATUS_URL, "accepted_at": NOW, "polls": 3}
    assert "remote" in settled(EVERY_OUTCOME[kind], polls=True, remote=remote).update["$unset"]


def test_a_poll_that_is_released_keeps_where_it_is_asked_for() -> None:
    """The service still has the work."""
    remote = {"status_url": STATUS_URL, "accepted_at": NOW, "polls": 3}
    write = settled(outcomes.released(), polls=True, remote=remote)
    assert set(write.update["$unset"]) == {"lease"}
    assert "$push" not in write.update


def test_an_attempt_is_recorded_whole() -> None:
    """Who, when, how long, how it ended, and the token that proves it."""
    record = record_of(outcomes.retry(ERROR, definite=False), ran(), NOW)
    assert record == AttemptRecord(
        number=2,
        fence=3,
        started_at=STARTED_AT,
        finished_at=NOW,
        worker="worker:1",
        outcome="retry",
        error=ERROR.model_copy(update={"retryable": True}),
        duration_ms=812,
        trace_id="trace_1",
        token="token_1",
        definite=False,
    )


def test_a_document_of_odd_counts_still_has_its_write() -> None:
    """Another program may have left anything there."""
    odd = {"attempt": "2", "failures": None, "snoozes": 1.5, "max_attempts": "many"}
    found = Ran({**running(), **odd}, Hold("ctx_1", 3, "t"), "worker:1", False, 0.1, "trace_1")
    write = write_of(outcomes.retry(ERROR), found, NOW, lambda: 0.0)
    assert attempt_of(write)["number"] == 0
    assert changed(write)["available_at"] == NOW + SECOND


@pytest.mark.parametrize("remote", [None, "x", 7, {"polls": "many"}])
def test_odd_accepted_work_is_asked_for_all_the_same(remote: Any) -> None:
    """A poll that could not be written would be made for ever."""
    document = {**running(), "remote": remote}
    found = Ran(document, Hold("ctx_1", 3, "t"), "worker:1", True, 0.1, "trace_1")
    write = write_of(outcomes.accepted(STATUS_URL), found, NOW, lambda: 0.0)
    assert changed(write)["remote"] == {"status_url": STATUS_URL, "accepted_at": NOW, "polls": 1}
