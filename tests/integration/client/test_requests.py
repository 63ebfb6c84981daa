"""Requests by every kind of client: the same answers, whichever way they come."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from agent.client import (
    Conflict,
    KeyReused,
    NotFound,
    RequestCancelled,
    RequestFailed,
    RequestRefused,
    ResultTimeout,
)
from agent.models import Document
from tests.integration.client.asked import ONE_STEP, TWO_STEPS, end
from tests.integration.client.conftest import WAYS, Connect

SOON = 30.0


def test_what_is_submitted_is_stored_and_told(client: Any, kept: Database[Document]) -> None:
    """With all that was given; dates become strings in the data."""
    later = datetime(2031, 1, 1, tzinfo=UTC)
    asked = client.submit(
        template=ONE_STEP, user_id="u1", data={"at": later}, priority=2, tags={"team": "north"},
        available_at=later, text=None,
    )  # fmt: skip
    told = asked.show()
    assert (asked.id, asked.existing, told["status"]) == (told["id"], False, "scheduled")
    assert (told["user_id"], told["priority"], told["tags"]) == ("u1", 2, {"team": "north"})
    assert told["available_at"] == "2031-01-01T00:00:00.000Z"
    [stored] = kept["contexts"].find()
    assert stored["request"]["data"] == {"at": "2031-01-01T00:00:00+00:00"}
    assert client.handle(asked.id).status() == "scheduled"


def test_a_result_is_waited_for(client: Any, kept: Database[Document]) -> None:
    """The reply as it came, soon after it is there."""
    asked = client.submit(template=ONE_STEP)
    later = threading.Timer(0.3, end, (kept, asked.id), {"results": {"text": "Hello"}})
    later.start()
    assert asked.result(timeout=SOON) == {"text": "Hello"}
    later.join()


def test_results_of_steps_come_by_their_keys(client: Any, kept: Database[Document]) -> None:
    """As soon as the whole is final."""
    asked = client.submit(template=TWO_STEPS)
    for key in ("draft", "score"):
        end(kept, f"{asked.id}_{key}", results={"of": key})
    end(kept, asked.id)
    assert asked.result(timedelta(seconds=SOON)) == {
        "draft": {"of": "draft"}, "score": {"of": "score"},
    }  # fmt: skip


def test_one_that_brought_nothing_says_why(client: Any, kept: Database[Document]) -> None:
    """Failed, with the error of the last attempt; cancelled; not final in time."""
    failed, cancelled, open_ = (client.submit(template=ONE_STEP) for _ in range(3))
    end(kept, failed.id, "failed", error={"type": "BadRequest", "message": "it answered 400"})
    with pytest.raises(RequestFailed, match="failed: BadRequest: it answered 400") as caught:
        failed.result(timeout=SOON)
    assert caught.value.error["type"] == caught.value.type == "BadRequest"
    assert cancelled.cancel()["status"] == "cancelled"
    with pytest.raises(RequestCancelled):
        cancelled.result(timeout=SOON)
    with pytest.raises(TimeoutError, match=r"is not final after 0\.2 s: pending") as late:
        open_.result(timeout=0.2)
    assert isinstance(late.value, ResultTimeout)


def test_a_request_is_begun_anew(client: Any, kept: Database[Document]) -> None:
    """What is final can be; what is not is a conflict, and so is cancelling twice."""
    asked = client.submit(template=ONE_STEP)
    with pytest.raises(Conflict) as caught:
        asked.retry()
    assert (caught.value.status, caught.value.type) == (409, "/problems/conflict")
    asked.cancel()
    with pytest.raises(Conflict):
        asked.cancel()
    assert asked.retry(fresh_key=True)["status"] == "pending"


def test_what_there_is_not_is_not_found(client: Any) -> None:
    """Whatever is asked of it, and whatever its id looks like."""
    for id in ("ctx_0", "a/b?c=%41#", "ä ö"):
        for ask in ("show", "cancel", "retry", "result"):
            with pytest.raises(NotFound) as caught:
                getattr(client.handle(id), ask)()
            assert caught.value.type == "/problems/not-found"


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"template_id": "nowhere"}, {"template": ONE_STEP, "priority": 11},
        {"template": ONE_STEP, "data": {"name": {1, 2}}}, {"template": ONE_STEP, "unknown": 1},
        {"template": ONE_STEP, "available_at": datetime(2031, 1, 1)},
        {"template": ONE_STEP, "data": {"x": float("nan")}},
    ],
)  # fmt: skip
def test_what_cannot_become_work_is_refused(
    client: Any, kept: Database[Document], fields: dict[str, Any]
) -> None:
    """Here or there, and nothing is stored."""
    with pytest.raises(RequestRefused):
        client.submit(**fields)
    assert kept["contexts"].count_documents({}) == 0


def test_keys_find_what_came_before(client: Any, kept: Database[Document]) -> None:
    """The same idempotency key is the same request; a unique key holds while it is not final."""
    first = client.submit(template=ONE_STEP, idempotency_key="k")
    assert client.submit(template=ONE_STEP, idempotency_key="k").id == first.id
    with pytest.raises(KeyReused):
        client.submit(template=ONE_STEP, priority=1, idempotency_key="k")
    one = client.submit(template=ONE_STEP, unique_key="u")
    two = client.submit(template=ONE_STEP, unique_key="u")
    assert (one.id, one.existing, two.existing) == (two.id, False, True)
    assert client.submit(template=ONE_STEP).id != client.submit(template=ONE_STEP).id
    assert kept["contexts"].count_documents({}) == 4


def test_events_tell_each_state_once(client: Any, kept: Database[Document]) -> None:
    """From the present one to the final one of the whole, at which they end."""
    asked = client.submit(template=TWO_STEPS)
    told = []
    for event in asked.events():
        told.append((event.name, event.data["key"], event.status))
        if len(told) == 3:  # all that there was at the beginning
            end(kept, f"{asked.id}_draft", results={})
            end(kept, asked.id)
    assert told.count(("step", "score", "waiting")) == 1
    assert told.count(("step", "draft", "completed")) == 1
    assert told[-1] == ("request", None, "completed")
    assert len(told) == len(set(told))


@pytest.mark.parametrize("way", WAYS)
def test_threads_share_a_client(way: str, connect: Connect, kept: Database[Document]) -> None:
    """Each gets its own request."""
    client = connect(way)
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.append(client.submit(template=ONE_STEP).id))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 12
    assert {each["_id"] for each in kept["contexts"].find()} == set(ids)


def test_neither_key_nor_password_is_shown(client: Any, connect: Connect) -> None:
    """Whatever it is printed for."""
    assert "secret" not in repr(client)
    stranger = connect("http", key="nobody")
    with pytest.raises(Exception, match="A key is needed") as caught:
        stranger.submit(template=ONE_STEP)
    assert "secret-of" not in f"{caught.value!r} {caught.value.__dict__} {stranger!r}"
