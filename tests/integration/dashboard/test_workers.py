"""The page of workers: what those run that live, and what became of what others had in hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from bson import ObjectId

from agent.dashboard.routes import workers
from agent.models import context_key
from agent.projections.bridges import Bridges, BridgeView
from agent.projections.presence import Presence, Running, WorkerView
from agent.settings import Settings
from agent.store.clock import ServerClock
from agent.store.connection import connect
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context, a_lease
from tests.integration.dashboard.conftest import Person
from tests.integration.store.test_declared_queries import Sent

HOSTILE = "<script>alert(1)</script>"


class Beats:
    """Workers that beat, and those that fell silent."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client, self._namespace = client, settings.namespace
        self._presence = Presence(client, settings.namespace)

    def beat(self, name: str, *keys: str, silent: float = 0.0, draining: bool = False) -> None:
        self._presence.beat(
            WorkerView(name, ("GENERATIVE",), 8, len(keys), f"host-{name}", 7, "1", draining,
                       "2030-01-01T00:00:00+00:00",
                       [Running(key, "GENERATIVE", 3.0) for key in keys])
        )  # fmt: skip
        self._client.zincrby(f"{self._namespace}:workers", -silent, name)


@pytest.fixture
def beats(client: redis.Redis, settings: Settings) -> Beats:
    return Beats(client, settings)


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def repository(
    quick_settings: Settings, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MongoContextRepository]:
    """One whose commands are seen; the page never shows what it saw before."""
    monkeypatch.setattr(workers, "KEPT_SECONDS", 0.0)
    clock = ServerClock()
    with connect(quick_settings, clock, sent) as client:  # type: ignore[arg-type]
        repository = MongoContextRepository(client, clock, quick_settings)
        repository.create_indexes()
        repository.now()
        yield repository


def gone(person: Person) -> str:
    """What the page says of those that fell silent."""
    text: str = person.get("/workers").text
    return text.partition('id="gone"')[2].partition("</main>")[0]


def test_a_worker_that_died_shows_what_became_of_its_contexts(
    operator: Person, beats: Beats, repository: MongoContextRepository, client: redis.Redis,
    settings: Settings,
) -> None:  # fmt: skip
    """Also of what it had begun since its last sign of life; what others have is not shown."""
    soon, foreign = repository.now() + timedelta(seconds=90), ObjectId()
    repository.insert_contexts([
        a_context(_id="ctx_done", status="completed", processed_by="w1", fence=1),
        a_context(_id=foreign, status="scheduled", wait_reason="crash", available_at=soon),
        a_context(_id="ctx_begun", status="processing", fence=1,
                  lease=a_lease(owner="w1", expires_at=soon)),
        a_context(_id="ctx_late", status="processing", fence=1, lease=a_lease(owner="w1")),
        a_context(_id="ctx_other", status="processing", fence=1,
                  lease=a_lease(owner="w2", expires_at=soon)),
    ])  # fmt: skip
    beats.beat("w1", "ctx_done", context_key(foreign), "ctx_gone", silent=60)
    beats.beat("w2", "ctx_other")
    text = gone(operator)
    for said in ("host-w1", "completed by it", "taken back; due", "it is not there any more",
                 "still in its hands; comes back when its lease ends, <time", ">in ",
                 "no bridge leads that would take it back"):  # fmt: skip
        assert said in text, said
    assert f'href="/dashboard/contexts/{foreign}"' in text
    assert "ctx_other" not in text
    Bridges(client, settings.namespace).beat(
        BridgeView("b", "h", 1, "1", "", leads=True, listens=True, watches=True)
    )
    assert "it is being taken back" in gone(operator)


def test_mongodb_is_asked_only_where_a_worker_died(
    operator: Person, beats: Beats, sent: Sent
) -> None:
    """Two questions then, however many died."""
    beats.beat("w1", "ctx_1")
    sent.commands.clear()
    assert "host-w1" in operator.get("/workers").text
    assert sent.commands == []
    for number in range(9):
        beats.beat(f"dead{number}", "ctx_1", "ctx_2", silent=60)
    operator.get("/workers")
    assert [next(iter(command)) for command in sent.commands] == ["find", "find"]


def test_a_worker_says_whether_it_drains_and_what_it_runs(operator: Person, beats: Beats) -> None:
    """An id that is no string leads to its context, too; one that ended well is not shown."""
    context_id = ObjectId()
    beats.beat("w1", context_key(context_id), draining=True)
    beats.beat("idle", silent=60)
    text = operator.get("/workers").text
    assert ">draining</span>" in text
    assert f'href="/dashboard/contexts/{context_id}"' in text
    assert "1 of 8 busy" in text
    assert "nothing</span>" in text.partition('id="gone"')[2]


def test_what_workers_tell_is_shown_as_text(operator: Person, beats: Beats) -> None:
    """Whoever writes to Redis."""
    for silent in (0.0, 60.0):
        beats.beat(f"{HOSTILE}{silent}", HOSTILE, silent=silent)
    text = operator.get("/workers").text
    assert HOSTILE not in text
    assert text.count("&lt;script&gt;") > 4
