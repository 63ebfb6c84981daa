"""Parents whose children depend on nothing, and may be very many."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.duties.requests import Requests

ALL = "completed"


def a_batch(requests: Requests, count: int) -> str:
    """A parent of children that depend on nothing, as a batch has them."""
    parent_id = requests.create({f"{number:03d}": () for number in range(count)})
    requests.repository.contexts.update_one(
        {"_id": parent_id}, {"$unset": {"steps": ""}, "$set": {"service_type": "BATCH"}}
    )
    return parent_id


def test_a_batch_is_counted_and_ends(requests: Requests) -> None:
    """As a request of steps does, by its counts alone."""
    parent_id = a_batch(requests, 3)
    requests.finish(parent_id, "000")
    assert requests.progress(parent_id)["percentage"] == 33.3
    requests.finish(parent_id, "001", fails=True)
    requests.finish(parent_id, "002")
    parent = requests.parent(parent_id)
    assert (parent["status"], parent["error"]["message"]) == ("failed", "1 of 3 failed")
    requests.repository.retry(f"{parent_id}_001")
    requests.run()
    assert requests.status(parent_id) == "processing"
    requests.finish(parent_id, "001")
    assert requests.status(parent_id) == ALL


def test_a_batch_is_cancelled_and_retried_as_a_whole(requests: Requests) -> None:
    """However many of it are left to settle."""
    parent_id = a_batch(requests, 5)
    requests.finish(parent_id, "000")
    requests.repository.cancel(parent_id)
    requests.run()
    assert requests.status(parent_id) == "cancelled"
    requests.repository.retry(parent_id)
    requests.run()
    assert sorted(requests.statuses(parent_id).values()) == [ALL] + ["pending"] * 4


def test_a_large_batch_is_counted_at_a_pace(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that ends does not have all the others counted."""
    counted: list[str] = []
    parent_id = a_batch(requests, 2)
    contexts = requests.repository.contexts
    contexts.update_one({"_id": parent_id}, {"$set": {"total": 1_000_000}})
    count = requests.repository.count_children
    monkeypatch.setattr(
        requests.repository, "count_children", lambda each: counted.append(each) or count(each)
    )
    requests.finish(parent_id, "000", "001")
    assert counted == []
    wait = requests.parent(parent_id)["unsettled"]["at"] - requests.repository.now()
    assert timedelta(seconds=10) < wait <= timedelta(seconds=20)
    past = requests.repository.now()
    contexts.update_one({"_id": parent_id}, {"$set": {"unsettled.at": past}})
    requests.settle.run()
    assert counted == [parent_id]
    assert requests.progress(parent_id)["processed"] == 2
