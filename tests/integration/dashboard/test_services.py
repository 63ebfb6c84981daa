"""The page of services: how each answered in the last hour, and whether it asks for less."""

from __future__ import annotations

import re

import pytest
import redis

from agent.dashboard.seen import last_hour
from agent.errors import BrokerUnavailable
from agent.projections.bridges import Bridges, BridgeView
from agent.projections.minutes import WIDTH, Minutes, count_in
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context
from tests.integration.dashboard.conftest import Person

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def never_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen of the last hour."""
    monkeypatch.setattr(last_hour, "KEPT_SECONDS", 0.0)


@pytest.fixture
def minutes(client: redis.Redis, settings: Settings) -> Minutes:
    return Minutes(client, settings.namespace)


def answer(minutes: Minutes, ago: int = 0, **replies: int) -> None:
    """Have ANALYSIS be answered so, so many minutes ago; each call took 0.2 s."""
    present = int(minutes.now()) // 60
    row = [0] * WIDTH
    for _ in range(sum(replies.values())):
        count_in(row, seconds=0.2)
    told = {word.removeprefix("status_"): count for word, count in replies.items()}
    key = ("ANALYSIS", present - ago)
    minutes.rebuild({key: row}, present, {key: told})


def card(person: Person, name: str = "ANALYSIS") -> str:
    """What the page says of one service."""
    text: str = person.get("/services").text
    assert 'style="' not in text
    return text.split(f"<h2>{name}</h2>")[1].split("</article>", maxsplit=1)[0]


def test_a_service_shows_how_it_answered_and_how_fast(operator: Person, minutes: Minutes) -> None:
    """In words and figures beside the picture; of a service without calls that is said."""
    answer(minutes, ago=10, status_2xx=30, status_503=50, timeout=20)
    text = card(operator)
    rows = re.findall(r'<th scope="row">([^<]+)</th>.*?<td class="n">([^<]+)</td>', text)
    assert rows[:3] == [("2xx", "30"), ("503 Service Unavailable", "50"), ("timeout", "20")]
    assert rows[3] == ("100 ms to 250 ms", "100")
    assert 'aria-label="100 calls: half of them took' in text
    assert text.count('class="bar run"') == 1
    assert "≈ 100" in text
    assert ">open</span>" in text
    assert "None has ended." in card(operator, "GENERATIVE")


def test_a_service_that_answers_429_is_throttled(operator: Person, minutes: Minutes) -> None:
    """The page of services says so, and the line on top of the overview."""
    answer(minutes, status_2xx=50, status_429=50)
    text = card(operator)
    assert ">throttled</span>" in text
    assert "It answers 429 to 50% of its calls" in text
    assert "ANALYSIS answers 429 to 50% of its calls" in operator.get().text


def test_a_pause_that_the_service_asked_for_is_throttling(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Any other one is a pause."""
    for name, by in (("ANALYSIS", "retry-after"), ("GENERATIVE", "breaker")):
        repository.pause_service(name, by=by, reason="429", until=None)
    assert ">throttled</span>" in card(operator)
    assert "Paused by <b>retry-after</b>" in card(operator)
    assert ">paused</span>" in card(operator, "GENERATIVE")


def test_what_waits_says_what_holds_it_back(
    operator: Person, repository: MongoContextRepository, client: redis.Redis, settings: Settings
) -> None:
    """By the leading bridge, and only while something waits."""
    told = {"ANALYSIS": HOSTILE, "GENERATIVE": "every thread is busy", "COMMUNICATION": "nothing"}
    Bridges(client, settings.namespace).beat(
        BridgeView("b", "h", 1, "1", "", leads=True, listens=True, watches=True, bounds=told)
    )
    repository.insert_contexts([
        a_context(service_type=name) for name in ("ANALYSIS", "COMMUNICATION")
    ])  # fmt: skip
    text = card(operator)
    assert "Held back" in text
    assert HOSTILE not in text
    assert "Held back" not in card(operator, "GENERATIVE")
    assert "Held back" not in card(operator, "COMMUNICATION")


def test_the_queue_in_the_broker_is_counted(
    operator: Person, client: redis.Redis, settings: Settings
) -> None:
    """What is ready, what a worker has fetched, and what is dead."""
    space = settings.dramatiq_namespace
    client.rpush(f"{space}:analysis", "m1", "m2")
    client.zadd(f"{space}:__heartbeats__", {"b1": 1})
    client.sadd(f"{space}:__acks__.b1.analysis", "m3")
    client.zadd(f"{space}:analysis.XQ", {"m4": 1, "m5": 2, "m6": 3})
    assert "2 ready, 1 fetched, 3 dead" in card(operator)


def test_without_redis_the_page_says_what_is_not_known(
    operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What MongoDB knows is there."""

    def away(*_: object, **__: object) -> None:
        raise BrokerUnavailable("Redis: no answer")

    monkeypatch.setattr(last_hour, "read_minutes", away)
    monkeypatch.setattr(Bridges, "all", away)
    text = card(operator)
    assert "Not known, Redis is away." in text
    assert "0 of 1,000" in text
