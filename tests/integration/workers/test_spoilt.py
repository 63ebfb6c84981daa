"""A context of ours that another program has spoilt: it is adopted anew before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from agent.duties.adopt import Adopt
from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.workers.stage import Scripted, process


@pytest.mark.parametrize(
    "spoilt",
    [
        {"attempts": "many"},
        {"attempt": "x"},
        {"attempt": None},
        {"crashes": "often"},
        {"failures": {"a": 1}},
        {"snoozes": float("nan")},
    ],
    ids=str,
)
def test_what_is_spoilt_is_mended_before_it_is_sent(
    repository: MongoContextRepository, spoilt: Document
) -> None:
    """No call is made whose end could not be recorded; what stood there is kept."""
    worker = Scripted({"done": True})
    with process(repository, worker) as found:
        found.insert(fence=4)
        repository.contexts.update_one({}, {"$set": spoilt})
        found.carry()
        handed_over = found.document()
        assert worker.keys == []
        assert handed_over["status"] == "pending"
        assert {"fence", "lease"}.isdisjoint(handed_over)
        assert Adopt.of(repository).run() == 1
        found.carry()
        document = found.document()
    [name] = spoilt
    kept: Any = document["adopted"][name]
    assert len(worker.keys) == 1
    assert document["status"] == "completed"
    assert repr(kept) == repr(spoilt[name])
