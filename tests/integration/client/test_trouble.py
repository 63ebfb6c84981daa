"""The client on a network that loses answers, breaks, and comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from agent.client import Unavailable
from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.web import Web, running_web
from tests.faults.proxy import Proxy
from tests.integration.client.asked import ONE_STEP, TWO_STEPS, end
from tests.integration.client.conftest import Connect
from tests.waiting import wait_until

SOON = 30.0
BY_HTTP = pytest.mark.parametrize("way", ["http", "async http"])
ASKED = b"POST /v1/requests HTTP"


@pytest.fixture
def before_web(web: Web) -> Iterator[Proxy]:
    """A way to `web` that a test cuts."""
    with Proxy.before(web.url) as proxy:
        yield proxy


@BY_HTTP
def test_an_answer_that_gets_lost_makes_no_second_request(
    way: str, connect: Connect, before_web: Proxy, kept: Database[Document]
) -> None:
    """It was stored, and the client does not know: what it sends again finds the first."""
    client = connect(way, url=before_web.through("http://x:1"))
    before_web.lose_answer_to(ASKED)
    asked = client.submit(template=ONE_STEP)
    assert before_web.lost_answers == 1
    assert [each["_id"] for each in kept["contexts"].find()] == [asked.id]


@pytest.mark.parametrize("way", ["mongodb", "async mongodb"])
def test_nor_does_one_of_mongodb(
    way: str, connect: Connect, network: Proxy, mongodb_uri: str, kept: Database[Document]
) -> None:
    """Its answer to the insert is lost."""
    client = connect(way, url=network.through(mongodb_uri))
    network.lose_answer_to(b"\x02insert\x00\x09\x00\x00\x00contexts\x00")
    asked = client.submit(template=ONE_STEP)
    client.close()  # while the network is there
    assert network.lost_answers == 1
    assert [each["_id"] for each in kept["contexts"].find()] == [asked.id]


@BY_HTTP
def test_patience_ends_and_the_key_is_told(
    way: str, connect: Connect, before_web: Proxy, kept: Database[Document]
) -> None:
    """Sent again under it, what may have been stored is the same request."""
    url = before_web.through("http://x:1")
    client = connect(way, url=url, patience=timedelta(seconds=0.5))
    client.submit(template=ONE_STEP, idempotency_key="first")  # so that it is connected
    before_web.cut()
    with pytest.raises(Unavailable, match=r"no answer from http://127.0.0.1:\d+ for 0.5 s") as told:
        client.submit(template=ONE_STEP)
    key = told.value.idempotency_key
    assert key is not None
    assert key.startswith("client-")
    before_web.mend()
    patient = connect(way, url=url)
    once = patient.submit(template=ONE_STEP, idempotency_key=key)
    assert patient.submit(template=ONE_STEP, idempotency_key=key).id == once.id
    assert kept["contexts"].count_documents({}) == 2


@BY_HTTP
def test_a_cancel_of_which_nothing_was_heard_is_no_conflict(
    way: str, connect: Connect, before_web: Proxy, kept: Database[Document]
) -> None:
    """Sent again it is refused, as it was done; so it was done. The same of a retry."""
    client = connect(way, url=before_web.through("http://x:1"))
    asked = client.submit(template=ONE_STEP)
    before_web.lose_answer_to(b"/cancel HTTP")
    assert asked.cancel()["status"] == "cancelled"
    before_web.lose_answer_to(b"/retry HTTP")
    assert asked.retry()["status"] == "pending"
    assert before_web.lost_answers == 2
    assert kept["contexts"].find_one({"_id": asked.id})["generation"] == 1  # type: ignore[index]


@BY_HTTP
def test_events_go_on_behind_a_connection_that_broke(
    way: str, connect: Connect, before_web: Proxy, kept: Database[Document]
) -> None:
    """What happened meanwhile is told by the next one, and nothing twice."""
    client = connect(way, url=before_web.through("http://x:1"))
    asked = client.submit(template=TWO_STEPS)
    told = []
    for event in asked.events():
        told.append((event.data["key"], event.status))
        if len(told) == 3:
            before_web.cut()
            end(kept, f"{asked.id}_draft", results={})
            end(kept, asked.id)
            before_web.mend()
    assert sorted(map(str, told[:3])) == sorted(
        map(str, [("draft", "pending"), ("score", "waiting"), (None, "processing")])
    )
    assert told[3:] == [("draft", "completed"), (None, "completed")]


@BY_HTTP
def test_a_wait_outlasts_an_outage(
    way: str, connect: Connect, before_web: Proxy, kept: Database[Document]
) -> None:
    """The request is stored: whoever waits for it need not begin again."""
    client = connect(way, url=before_web.through("http://x:1"))
    asked = client.submit(template=ONE_STEP)
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(asked.result(timeout=SOON)))
    waiting.start()
    wait_until(lambda: before_web.links > 0)
    before_web.cut()
    end(kept, asked.id, results={"text": "Hello"})
    before_web.mend()
    waiting.join()
    assert got == [{"text": "Hello"}]


@BY_HTTP
def test_a_key_that_is_busy_is_waited_for(
    way: str, connect: Connect, direct: Any, kept: Database[Document]
) -> None:
    """Whoever has it died just now: 409, until it counts as dead."""
    client = connect(way)
    first = client.submit(template=ONE_STEP, idempotency_key="k")
    repository: MongoContextRepository = direct._mongo.repository
    busy_until = repository.now() + timedelta(seconds=1)
    kept["idempotency_keys"].update_one(
        {}, {"$unset": {"answer": ""}, "$set": {"busy_until": busy_until}}
    )
    assert client.submit(template=ONE_STEP, idempotency_key="k").id == first.id
    assert repository.now() >= busy_until


def test_a_rate_limit_is_kept(
    place: dict[str, str], connect: Connect, kept: Database[Document], tmp_path: Path
) -> None:
    """429 with `Retry-After` slows it down; nothing fails, and nothing is stored twice."""
    with running_web(place, tmp_path, AGENT_API_RATE_LIMIT="8") as slow:
        for way in ("http", "async http"):
            client = connect(way, url=slow.url)
            for _ in range(10):
                client.submit(template=ONE_STEP)
    assert kept["contexts"].count_documents({}) == 20
