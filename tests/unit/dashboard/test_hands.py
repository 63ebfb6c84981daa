"""What became of the contexts of a worker that fell silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from bson import ObjectId

from agent.dashboard.seen.hands import MOST_ASKED, ids_of, in_hand, word_of
from agent.models import Document, context_key
from agent.projections.presence import Running, WorkerView
from tests.factories import LONG_AGO, a_context, a_lease

NOW = LONG_AGO + timedelta(hours=1)
SOON = NOW + timedelta(seconds=12)
ID = ObjectId()
ASKED = ["ctx_1", "ctx_done", "ctx_gone"]


def a_worker(*keys: str) -> WorkerView:
    return WorkerView("w:1", ("GENERATIVE",), 8, len(keys), "h", 7, "1", draining=False,
                      started_at="", running=[Running(key, "GENERATIVE", 1.0) for key in keys]
                      )  # fmt: skip


def held(owner: str = "w:1", **fields: Any) -> Document:
    lease = a_lease(owner=owner, expires_at=fields.pop("until", SOON))
    return a_context(**{"_id": "ctx_1", "status": "processing", "lease": lease, **fields})


@pytest.mark.parametrize(
    ("document", "fate", "at", "is_back"),
    [
        (held(), "still in its hands; comes back when its lease ends,", SOON, False),
        (held(until=LONG_AGO), "its lease has run out; it is being taken back", LONG_AGO, False),
        (held("w:2"), "runs at another worker", None, True),
        (a_context(_id="ctx_1", status="scheduled", wait_reason="crash", available_at=SOON),
         "taken back; due", SOON, True),
        (a_context(_id="ctx_1", status="scheduled", wait_reason="retry", available_at=SOON),
         "due", SOON, True),
        (a_context(_id="ctx_1"), "is pending again", None, True),
        (a_context(_id="ctx_1", status="completed", processed_by="w:1", completed_at=NOW),
         "completed by it,", NOW, True),
        (a_context(_id="ctx_1", status="completed", processed_by="w:2", completed_at=NOW),
         "completed by another,", NOW, True),
        (a_context(_id="ctx_1", status="failed", completed_at=NOW), "failed,", NOW, True),
        ({"_id": "ctx_1", "status": "processing", "lease": 7}, "runs at another worker", None,
         True),
    ],
)  # fmt: skip
def test_each_context_says_where_it_is(
    document: Document, fate: str, at: object, is_back: bool
) -> None:
    """Or when it comes back."""
    [found] = in_hand(a_worker("ctx_1"), [document], NOW, asked=ASKED, leads=True)
    assert (found.fate, found.at, found.is_back) == (fate, at, is_back)


def test_nothing_is_taken_back_where_no_bridge_leads() -> None:
    """That is said."""
    [found] = in_hand(a_worker(), [held(until=LONG_AGO)], NOW, asked=ASKED, leads=False)
    assert "no bridge leads" in found.fate


def test_what_is_still_in_its_hands_comes_first_and_once() -> None:
    """Also what it began after its last beat; what others have is theirs, what is gone says so."""
    documents = [
        a_context(_id="ctx_done", status="completed"), held(_id="ctx_new"), held(_id="ctx_new"),
        held("w:2", _id="ctx_other"),
    ]  # fmt: skip
    worker = a_worker("ctx_done", "ctx_gone", "ctx_unasked")
    found = in_hand(worker, documents, NOW, asked=ASKED, leads=True)
    assert [each.word for each in found] == ["ctx_new", "ctx_done", "ctx_gone", "ctx_unasked"]
    assert found[-2].fate == "it is not there any more"
    assert found[-1].fate == "not looked up: there is too much of it"


@pytest.mark.parametrize("context_id", ["ctx_1", ID, 17, "17", UUID(int=7), "int:17"])
def test_an_id_of_any_kind_is_found_by_what_a_worker_tells(context_id: Any) -> None:
    """And leads to its page."""
    key = context_key(context_id)
    assert context_id in ids_of([a_worker(key)])
    assert word_of(context_key(ID)) == str(ID)
    [found] = in_hand(a_worker(key), [a_context(_id=context_id)], NOW, asked=ASKED, leads=True)
    assert found.word == context_id


def test_no_more_is_asked_than_is_shown() -> None:
    """However many died with however much; what can be no id is no mistake."""
    busy = a_worker(*(f"ctx_{number}" for number in range(MOST_ASKED)))
    assert len(ids_of([busy] * 9)) <= MOST_ASKED + 2
    assert ids_of([a_worker('{"$where": 1}', "dict:{}")])
