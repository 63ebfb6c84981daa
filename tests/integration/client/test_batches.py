"""Batches by every kind of client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymongo.database import Database

from agent.client import AgentClient, NotFound, RequestCancelled, RequestRefused, ResultTimeout
from agent.duties.expand import Expand
from agent.duties.settle import Settle
from agent.models import Document
from tests.faults.proxy import Proxy
from tests.integration.client.asked import ONE_STEP, end
from tests.integration.client.conftest import Connect

SOON = 30.0
GREETING = {"id": "greeting", "version": "1.0", **ONE_STEP}


class Broken(Exception):
    """The source of the items breaks."""


@pytest.fixture
def work(direct: AgentClient, kept: Database[Document]) -> Any:
    """Makes the items of what was asked for, and ends those that a test names, and the others."""
    kept["templates"].insert_one({"_id": "greeting:1.0", **GREETING})
    repository = direct._mongo.repository  # type: ignore[union-attr]

    def carry_out(id: str, *failing: int) -> None:
        Expand(repository).run()
        is_open = {"parent_id": id, "status": "pending"}
        for item in list(kept["contexts"].find(is_open, {"_id": 1})):
            failed = int(item["_id"].rpartition("_")[2]) in failing
            error = {"error": {"type": "BadRequest", "message": "no"}} if failed else {}
            end(kept, item["_id"], "failed" if failed else "completed", results={}, **error)
        kept["contexts"].update_one({"_id": id}, {"$set": {"unsettled": {"at": repository.now()}}})
        Settle(repository).run()

    return carry_out


def people(count: int) -> Iterator[dict[str, Any]]:
    for number in range(1, count + 1):
        yield {"name": f"N{number}", "user_id": f"u{number}"}


@pytest.mark.parametrize(
    "common",
    [
        {"template_id": "greeting", "tags": {"a": "b"}, "priority": 3},
        {"template": ONE_STEP, "data": {"x": 1}, "tags": ["a"]},
        {"template": ONE_STEP, "data": {"x": "y" * 5000}},
    ],
)
def test_items_of_a_generator_become_requests(
    client: Any, kept: Database[Document], work: Any, common: dict[str, Any]
) -> None:
    """Uploaded as lines, or as one list where more is said than an upload can; told in order."""
    batch = client.map(people(5), **common)
    assert (batch.total, batch.rejected["count"], batch.existing) == (5, 0, False)
    work(batch.id, 3)
    told: list[Any] = []
    progress = batch.result(timeout=SOON, on_progress=told.append)
    assert (progress["total"], progress["succeeded"], progress["failed"]) == (5, 4, 1)
    assert told[-1]["processed"] == batch.progress()["processed"] == 5
    items = list(batch.results())
    assert [each["row"] for each in items] == [1, 2, 3, 4, 5]
    assert (items[2]["status"], items[2]["error"]["type"]) == ("failed", "BadRequest")
    assert (items[0]["data"]["name"], items[0]["user_id"]) == ("N1", "u1")
    assert [event.status for event in client.batch(batch.id).events()][-1] == "failed"


def test_a_batch_is_cancelled_and_begun_anew(client: Any, work: Any) -> None:
    """As a whole."""
    batch = client.map(people(3), template_id="greeting")
    with pytest.raises(ResultTimeout):
        batch.result(timeout=0.1)
    batch.cancel()
    work(batch.id)
    with pytest.raises(RequestCancelled):
        batch.result(timeout=SOON)
    assert batch.retry()["status"] in ("processing", "cancelled")


def test_what_is_wrong_is_told(client: Any, kept: Database[Document], work: Any) -> None:
    """A row costs itself; no rows, or no template, is an error, and so is what JSON lacks."""
    batch = client.map([{"name": "Ann"}, 17], template_id="greeting")
    assert (batch.total, batch.rejected["count"], batch.rejected["rows"][0]["row"]) == (1, 1, 2)
    for items, fields in (
        ([], {"template_id": "greeting"}), ([{}], {"template_id": "nowhere"}),
        ([], {"template": ONE_STEP}), ([{}, {"n": {1}}], {"template_id": "greeting"}),
    ):  # fmt: skip
        with pytest.raises(RequestRefused):
            client.map(items, **fields)
    with pytest.raises(NotFound):
        next(client.batch("ctx_0").results())
    assert kept["contexts"].count_documents({"kind": "parent"}) == 1


def test_one_request_of_all_items(client: Any, work: Any) -> None:
    """With `mode` `whole`."""
    batch = client.map(people(4), template_id="greeting", mode="whole")
    assert batch.total == 1
    work(batch.id)
    [item] = batch.results()
    assert len(item["data"]["items"]) == 4


def test_a_source_that_breaks_stores_nothing(
    client: Any, kept: Database[Document], work: Any
) -> None:
    """Its own error comes out, and half a batch is none."""

    def breaking() -> Iterator[dict[str, Any]]:
        yield from people(3000)
        raise Broken

    with pytest.raises(Broken):
        client.map(breaking(), template_id="greeting")
    assert kept["contexts"].count_documents({}) == 0


@pytest.mark.parametrize("way", ["async http", "async mongodb"])
def test_items_may_take_their_time(way: str, connect: Connect, work: Any) -> None:
    """On an event loop they may come from what is awaited."""

    async def slowly() -> AsyncIterator[dict[str, Any]]:
        for each in people(3):
            yield each

    assert connect(way).map(slowly(), template_id="greeting").total == 3


@pytest.mark.parametrize("way", ["http", "async http"])
def test_an_upload_whose_answer_is_lost_is_one_batch(
    way: str, connect: Connect, web: Any, kept: Database[Document], work: Any
) -> None:
    """What a generator brought is sent again, from its first item on."""
    with Proxy.before(web.url) as proxy:
        client = connect(way, url=proxy.through("http://x:1"))
        proxy.lose_answer_to(b"POST /v1/batches/upload")
        batch = client.map(people(2500), template_id="greeting")
        assert (proxy.lost_answers, batch.total) == (1, 2500)
    assert [each["_id"] for each in kept["contexts"].find()] == [batch.id]
