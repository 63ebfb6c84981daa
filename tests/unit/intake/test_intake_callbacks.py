"""What a request with a `callback_url` carries, and the deliveries that come of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from agent.intake.callbacks import (
    callback_fields,
    callback_problems,
    delivery_id,
    delivery_of,
    event_type,
)
from agent.intake.foreign import read_foreign
from agent.models import Document, step_id
from agent.services import ServiceRegistry
from agent.store.changes import Write, cancel, promote
from agent.store.ends import End, counted, ends_due, with_end
from agent.webhooks import NO_WEBHOOKS
from tests.factories import foreign

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
URL = "https://hooks.example/agent"


def test_without_a_url_nothing_is_carried() -> None:
    """Most requests have none, and pay for none."""
    assert callback_fields(None) == {}
    assert callback_problems(None, NO_WEBHOOKS) == []


def test_a_delivery_is_never_taken_for_a_step() -> None:
    """Whatever the steps are called."""
    assert delivery_id("ctx_1", 2) != step_id("ctx_1", "callback_2")
    assert delivery_id("ctx_1", 2) == "callback_ctx_1_2"


@pytest.mark.parametrize(
    "request_id", ["sch_daily.report@20250301T120000.000Z", ObjectId(), "ü" * 300, "a b", "\ud800"]
)
def test_an_id_has_nothing_that_a_signature_is_divided_by(request_id: Any) -> None:
    """Nor what a header cannot carry; it is the same each time."""
    found = delivery_id(request_id, 1)
    assert found == delivery_id(request_id, 1)
    assert found.isascii()
    assert not set(found) & set(". \n")
    assert found != delivery_id(f"{request_id}x", 1)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"kind": "context", "service_type": "BATCH"}, "request.failed"),
        ({"kind": "parent", "service_type": "REQUEST"}, "request.failed"),
        ({"kind": "parent", "service_type": "BATCH"}, "batch.failed"),
    ],
)
def test_an_event_says_what_has_ended(request_: Document, expected: str) -> None:
    """A request, of however many steps, or a batch."""
    assert event_type(request_, "failed") == expected


def test_a_delivery_carries_no_payload() -> None:
    """What it tells is read when it is sent."""
    request = {"_id": "ctx_1", "callback_url": URL, "request": {"data": {"name": "Ann"}}}
    delivery = delivery_of(request, End(1, "completed", NOW), NOW, max_attempts=20)
    assert "Ann" not in str(delivery)
    assert delivery["callback"]["url"] == URL
    assert counted(delivery) is None


@pytest.mark.parametrize(
    "callbacks", [None, 1, [], {}, {"ends": True}, {"ends": "1"}, {"at": NOW}, [{"ends": 1}]]
)
def test_what_another_program_means_by_it_is_not_counted(callbacks: Any) -> None:
    """Only what the intake has put there is."""
    write = cancel(NOW, "ctx_1")
    assert with_end({"callbacks": callbacks}, write, NOW) is write


def test_only_an_end_is_counted() -> None:
    """With all else that the write says."""
    document = {"callbacks": {"ends": 0}}
    assert with_end(document, promote(NOW), NOW) == promote(NOW)
    ended = Write({"_id": 1}, {"$set": {"status": "failed"}, "$inc": {"failures": 1},
                               "$push": {"attempts": {}}})  # fmt: skip
    update = with_end(document, ended, NOW).update
    assert update["$inc"] == {"failures": 1, "callbacks.ends": 1}
    assert update["$push"] == {"attempts": {}, "callbacks.due": {"status": "failed", "at": NOW}}


def test_ends_are_numbered_by_how_many_there_were() -> None:
    """Also where some are told already; what makes no sense is left out."""
    due = [{"status": "failed", "at": NOW}, {"status": "odd"}, {"status": "completed", "at": NOW}]
    assert ends_due({"callbacks": {"ends": 5, "due": due}}) == [
        End(3, "failed", NOW), End(5, "completed", NOW),
    ]  # fmt: skip
    assert ends_due({"callbacks": {"ends": 5, "due": "spoilt"}}) == []
    assert ends_due({"callbacks": {"ends": 5}}) == []


def test_a_word_of_other_programs_is_not_taken_for_the_service() -> None:
    """Who has a list of tags may have had `webhook` among them for long."""
    document = foreign(template={"id": "t", "service_template": {}}, tags=["analysis", "webhook"])
    adoption = read_foreign(
        document,
        registry=ServiceRegistry.load(webhooks=True),
        find_template=lambda _id: None,
        now=NOW,
        max_attempts=lambda _service: 20,
    )
    assert adoption.changes["service_type"] == "ANALYSIS"
