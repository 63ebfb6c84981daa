"""The views of Redis, kept true to what MongoDB holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from agent.models import Document
from agent.projections.minute_view import read_minutes
from agent.projections.minutes import Minutes
from agent.projections.view_pages import DeadView, RetriesView, ViewFilter
from agent.store.clock import ServerClock
from agent.store.connection import connect
from agent.store.mongo_context_repository import MongoContextRepository
from bridge import views
from bridge.views import CORRECT_SECONDS, Views
from tests.factories import a_context
from tests.integration.bridge.stage import Stage
from tests.integration.store.test_declared_queries import Sent
from tests.servers import RedisServer

ERROR = {"type": "ServiceUnavailable", "message": "answered 503", "fingerprint": "19872f5ae61e"}


class Kept:
    """The views of a stage, with a clock of its own and a log of what MongoDB is asked."""

    def __init__(self, stage: Stage, repository: MongoContextRepository, sent: Sent) -> None:
        self.stage, self.repository, self.sent = stage, repository, sent
        self.now = 0.0
        self.views = self.new()
        namespace = stage.settings.namespace
        self.retries = RetriesView(stage.client, namespace, monotonic=lambda: 0.0)
        self.dead = DeadView(stage.client, namespace, monotonic=lambda: 0.0)

    def new(self) -> Views:
        return Views(
            self.repository, self.stage.client, self.stage.settings, monotonic=lambda: self.now
        )

    def run(self, after: float = 1.0) -> int:
        """One look so many seconds later; how many questions it asked MongoDB."""
        self.now += after
        self.sent.commands.clear()
        self.views.run()
        return len(self.sent.commands)

    def waiting(self, *ids: Any, seconds: float = 3600, **fields: Any) -> None:
        """Contexts that are tried again, a second apart."""
        start = self.repository.now() + timedelta(seconds=seconds)
        last = {"number": 1, "outcome": "retry", "finished_at": start, "error": ERROR}
        self.repository.contexts.insert_many(
            {
                **a_context(
                    **{"status": "scheduled", "wait_reason": "retry", "attempts": [last, last],
                       "available_at": start + timedelta(seconds=place), **fields}
                ),
                "_id": each,
            }
            for place, each in enumerate(ids)
        )  # fmt: skip

    def failed(self, *ids: Any, **fields: Any) -> None:
        """Contexts that failed, a second apart."""
        end = self.repository.now() - timedelta(minutes=5)
        self.repository.contexts.insert_many(
            {
                **a_context(
                    **{"status": "failed", "completed_at": end + timedelta(seconds=place), **fields}
                ),
                "_id": each,
                "error": ERROR,
            }
            for place, each in enumerate(ids)
        )

    def shown(self) -> tuple[list[str], list[str]]:
        return (
            [entry.key for entry in self.retries.page().entries],
            [entry.key for entry in self.dead.page().entries],
        )


@pytest.fixture
def kept(stage: Stage) -> Iterator[Kept]:
    sent, clock = Sent(), ServerClock()
    client = connect(stage.settings, clock, sent)  # type: ignore[arg-type]
    repository = MongoContextRepository(client, clock, stage.settings)
    repository.create_indexes()
    repository.now()
    yield Kept(stage, repository, sent)
    client.close()


@pytest.fixture
def one_clock(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The minutes go by the views' clock: a real one could turn between two looks."""
    monkeypatch.setattr(Minutes, "now", lambda _: 6e7 + kept.now)


def test_what_redis_lost_is_built_anew_from_mongodb(kept: Kept, redis_server: RedisServer) -> None:
    """At the next look: what is tried again and what failed, each in its order, and no parent."""
    kept.waiting("r1", "r2")
    kept.waiting("r0", seconds=60, wait_reason="snooze")
    kept.waiting("later", wait_reason="delay")
    kept.failed("d1", "d2")
    kept.failed("family", kind="parent")
    for _ in range(2):
        kept.run()
        assert kept.shown() == (["r0", "r1", "r2"], ["d2", "d1"])
        assert kept.retries.page().is_exact
        redis_server.flush()
    [entry] = kept.retries.page(limit=1).entries or [None]
    assert entry is None
    kept.run()
    [entry] = kept.retries.page(limit=1).entries
    assert entry is not None
    assert (entry.reason, entry.kind) == ("snooze", "19872f5ae61e")


def test_pages_are_read_from_redis_alone(kept: Kept) -> None:
    """MongoDB's command log stays empty, whatever is sorted, filtered and paged."""
    kept.waiting(*(f"r{number}" for number in range(9)))
    kept.failed("d1")
    kept.run()
    kept.sent.commands.clear()
    for view in (kept.retries, kept.dead):
        for sort in ("next", "newest", "attempts", "service"):
            page = view.page(sort, ViewFilter(service="GENERATIVE"), limit=2)  # type: ignore[arg-type]
            while page.next:
                page = view.page(sort, ViewFilter(service="GENERATIVE"), cursor=page.next, limit=2)  # type: ignore[arg-type]
        view.choices("kind")
        view.words()
    assert kept.sent.commands == []


@pytest.mark.usefixtures("one_clock")
def test_an_idle_system_asks_three_questions_a_minute(kept: Kept) -> None:
    """Two views and a sample, however often it looks."""
    kept.run()
    asked = sum(kept.run() for _ in range(int(CORRECT_SECONDS) * 2))
    assert 4 <= asked <= 8


def test_what_nobody_told_is_corrected_within_a_minute(kept: Kept) -> None:
    """What came, went and moved behind the views' back."""
    kept.waiting("gone", "stays")
    kept.run()
    kept.repository.contexts.delete_one({"_id": "gone"})
    kept.waiting("new", seconds=7200)
    kept.run(CORRECT_SECONDS + 1)
    assert kept.shown()[0] == ["stays", "new"]


@pytest.mark.usefixtures("one_clock")
def test_what_somebody_told_of_is_corrected_within_seconds(kept: Kept) -> None:
    """Once, and not more often than every two seconds."""
    kept.waiting("r1")
    kept.failed("d1")
    kept.run()
    kept.repository.cancel("r1")
    kept.repository.retry("d1")
    kept.views.look_again()
    kept.run(0.5)
    assert kept.shown() == (["r1"], ["d1"])
    kept.run(2.0)
    assert kept.shown() == ([], [])
    assert kept.run(2.5) == 0


@pytest.mark.usefixtures("one_clock")
def test_what_was_due_leaves_the_view_when_it_is_promoted(kept: Kept) -> None:
    """And not before: while MongoDB is away it is still to be tried again."""
    kept.waiting("soon", seconds=-1)
    kept.waiting("later")
    kept.run()
    kept.run()
    assert kept.shown()[0] == ["soon", "later"]
    kept.views.note_promoted(kept.repository.now())
    assert kept.run() == 0
    assert kept.shown()[0] == ["later"]


def test_of_more_than_it_shows_the_rest_is_counted(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About; once half of it is gone, what comes next is read."""
    monkeypatch.setattr(views, "LIMIT", 4)
    kept.waiting(*(f"r{number}" for number in range(9)))
    kept.run()
    page = kept.retries.page()
    assert [entry.key for entry in page.entries] == ["r0", "r1", "r2", "r3"]
    assert (page.total, page.is_exact) == (9, False)
    gone = ["r0", "r1", "r2"]
    kept.repository.contexts.delete_many({"_id": {"$in": gone}})
    kept.retries.remove(gone)
    kept.run(2.5)
    assert kept.shown()[0] == ["r3", "r4", "r5", "r6"]
    assert kept.retries.page().total == 6


def test_minutes_are_built_anew_and_sampled(kept: Kept, redis_server: RedisServer) -> None:
    """From the attempts and ends that contexts remember; `≈` from then on."""
    end = kept.repository.now() - timedelta(minutes=5)
    done = {"number": 1, "outcome": "completed", "finished_at": end, "duration_ms": 200}
    refused = {"number": 2, "outcome": "retry", "finished_at": end,
               "error": {**ERROR, "status_code": 503}}  # fmt: skip
    documents: list[Document] = [
        a_context(status="completed", completed_at=end, attempts=[done]) for _ in range(3)
    ]
    documents.append(a_context(status="cancelled", attempts=[done, refused]))
    kept.repository.contexts.insert_many([*documents, a_context(), a_context(status="queued")])
    redis_server.flush()
    kept.run()
    series = read_minutes(kept.stage.client, kept.stage.settings.namespace, ["GENERATIVE"])
    found = series["GENERATIVE"]
    assert (sum(found.completed), sum(found.calls), found.is_exact) == (3, 5, False)
    assert [each for each in found.replies if each] == [{"2xx": 4, "503": 1}]
    sampled = [each for each in zip(found.pending, found.in_flight, strict=True) if each[0]]
    assert sampled == [(1, 1)]
