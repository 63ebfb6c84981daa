"""What a worker process hands over of each write that ended an attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from agent.errors import BrokerUnavailable
from agent.models import AttemptRecord, Document, ErrorRecord, WaitReason
from agent.projections import feed as feeds
from agent.projections.doorbell import doorbell_channel
from agent.projections.feed import Feed
from agent.projections.minute_view import read_minutes
from agent.projections.view_pages import DeadView, RetriesView
from agent.store import changes
from agent.store.changes import Hold, Write
from agent.store.ends import ended
from tests.factories import a_context, a_lease
from tests.unit.projections.entries import NOW, SECOND
from tests.unit.projections.test_signals import Away

HOLD = Hold("ctx_1", 3, "token_1")
ERROR = ErrorRecord(type="ServiceUnavailable", message="answered 503", status_code=503)


def running(**fields: Any) -> Document:
    """A context amid its attempt, the third one."""
    return a_context(
        **{"_id": "ctx_1", "status": "processing", "lease": a_lease(), "attempt": 3, "failures": 2,
           "attempts": [{"number": 2, "outcome": "retry"}], **fields}
    )  # fmt: skip


def attempt(outcome: str, error: ErrorRecord | None = ERROR) -> AttemptRecord:
    return AttemptRecord(number=3, outcome=outcome, error=error, finished_at=NOW, duration_ms=800)


def put_off(reason: WaitReason, outcome: str) -> Write:
    return changes.reschedule(
        NOW, HOLD, available_at=NOW + 10 * SECOND, reason=reason, attempt=attempt(outcome)
    )


def completed() -> Write:
    return changes.complete(NOW, HOLD, results={}, attempt=attempt("completed", None))


def failing() -> Write:
    return changes.fail(NOW, HOLD, error=ERROR, attempt=attempt("failed"))


@pytest.fixture
def feed() -> Feed:
    return Feed("agent")


@pytest.fixture
def tell(feed: Feed, client: redis.Redis) -> Callable[..., None]:
    """Note a write and hand it over."""

    def tell(write: Write, **fields: Any) -> None:
        feed.note(running(**fields), write.update, "ctx_1")
        feed.flush(client)

    return tell


Tell = Callable[..., None]


def test_a_retry_is_in_the_view_as_it_will_stand_in_mongodb(
    client: redis.Redis, tell: Tell
) -> None:
    """With the time of the next attempt, its failure counted, and the error of this one."""
    tell(put_off(WaitReason.RETRY, "retry"))
    [entry] = RetriesView(client, "agent").page().entries
    assert (entry.at, entry.attempt, entry.failures) == (NOW + 10 * SECOND, 3, 3)
    assert (entry.error_type, entry.status_code, entry.since) == ("ServiceUnavailable", 503, NOW)
    assert entry.kind is not None


def test_a_failure_is_in_the_view_of_dead_letters(client: redis.Redis, tell: Tell) -> None:
    """And in that of retries no more."""
    tell(put_off(WaitReason.RETRY, "retry"))
    tell(failing())
    assert [entry.key for entry in DeadView(client, "agent").page().entries] == ["ctx_1"]
    assert RetriesView(client, "agent").page().entries == []


def test_what_was_begun_anew_and_completed_is_in_no_view(client: redis.Redis, tell: Tell) -> None:
    """Whoever let it run may not have told."""
    tell(put_off(WaitReason.RETRY, "retry"))
    tell(failing())
    tell(completed(), generation=1)
    assert client.exists("agent:retries", "agent:dead") == 0


def test_what_completes_at_once_asks_nothing_of_the_views(client: redis.Redis, tell: Tell) -> None:
    """Nearly all do."""
    tell(completed(), attempts=[])
    assert client.exists("agent:retries:state", "agent:dead:state") == 0


@pytest.mark.parametrize(
    ("write", "counted"),
    [
        (completed(), (1, 0, 0, 1)),
        (failing(), (0, 1, 0, 1)),
        (put_off(WaitReason.RETRY, "retry"), (0, 0, 1, 1)),
        (put_off(WaitReason.SNOOZE, "snooze"), (0, 0, 1, 1)),
        (put_off(WaitReason.POLL, "accepted"), (0, 0, 0, 1)),
        (changes.release(NOW, HOLD), (0, 0, 0, 0)),
        (changes.fail(NOW, HOLD, error=ERROR, attempt=None), (0, 1, 0, 0)),
    ],
    ids=["completed", "failed", "retry", "snooze", "accepted", "released", "without an attempt"],
)
def test_each_write_counts_what_it_did(
    client: redis.Redis, tell: Tell, write: Write, counted: tuple[int, ...]
) -> None:
    """Completed, failed, retried, and the call that it ended."""
    tell(write)
    series = read_minutes(client, "agent", ["GENERATIVE"])["GENERATIVE"]
    found = (series.completed, series.failed, series.retried, series.calls)
    assert tuple(map(sum, found)) == counted


@pytest.mark.parametrize(
    ("write", "answered"),
    [
        (completed(), {"2xx": 1}),
        (put_off(WaitReason.RETRY, "retry"), {"503": 1}),
        (put_off(WaitReason.POLL, "accepted"), {"2xx": 1}),
        (changes.release(NOW, HOLD), {}),
    ],
    ids=["completed", "retry", "accepted", "released"],
)
def test_each_call_is_counted_by_its_answer(
    client: redis.Redis, tell: Tell, write: Write, answered: dict[str, int]
) -> None:
    """As it stands in the attempt."""
    tell(write)
    replies = read_minutes(client, "agent", ["GENERATIVE"])["GENERATIVE"].replies
    assert [each for each in replies if each] == ([answered] if answered else [])


def test_an_end_that_somebody_is_told_of_needs_no_attempt(client: redis.Redis, tell: Tell) -> None:
    """A failure without its attempt, of a request with a `callback_url`."""
    bare = changes.fail(NOW, HOLD, error=ERROR, attempt=None)
    tell(ended(bare, NOW))
    assert client.zcard("agent:dead") == 1


def test_what_redis_could_not_take_is_handed_over_later(feed: Feed, client: redis.Redis) -> None:
    """What came meanwhile is newer."""
    feed.note(running(), put_off(WaitReason.RETRY, "retry").update, "ctx_1")
    with pytest.raises(BrokerUnavailable):
        feed.flush(Away())
    feed.note(running(attempt=4), put_off(WaitReason.SNOOZE, "snooze").update, "ctx_1")
    feed.flush(client)
    [entry] = RetriesView(client, "agent").page().entries
    assert (entry.attempt, entry.reason) == (4, "snooze")
    series = read_minutes(client, "agent", ["GENERATIVE"])["GENERATIVE"]
    assert sum(series.calls) == 2


def test_of_too_much_the_bridge_is_asked_to_look_by_itself(
    feed: Feed, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long outage of Redis costs no memory."""
    monkeypatch.setattr(feeds, "MOST_KEPT", 3)
    update = put_off(WaitReason.RETRY, "retry").update
    for number in range(4):
        feed.note({**running(), "_id": f"ctx_{number}"}, update, f"ctx_{number}")
    with client.pubsub() as heard:
        heard.subscribe(doorbell_channel("agent"))
        heard.get_message(timeout=1)
        feed.flush(client)
        message = heard.get_message(timeout=1)
    assert message is not None
    assert message["data"] == "views"
    assert client.zcard("agent:retries") == 0


def test_nothing_is_sent_while_nothing_happens(feed: Feed) -> None:
    """A process flushes four times a second."""
    feed.flush(Away())
