"""How requests of several steps are stored, and what becomes of half-stored ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent.errors import IllegalTransition, RequestInvalid
from agent.models import RequestData
from tests.integration.duties.requests import CHAIN, DIAMOND, Requests, a_step

ALL = "completed"


def test_a_creation_that_was_interrupted_is_finished_by_doing_it_again(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the same id; nothing is there twice."""
    repository = requests.repository
    insert = repository.insert_contexts

    def some(documents: list[Any]) -> None:
        if len(documents) > 1:
            insert(documents[:2])
            raise ConnectionError("the process is gone")
        insert(documents)

    with monkeypatch.context() as patch:
        patch.setattr(repository, "insert_contexts", some)
        with pytest.raises(ConnectionError):
            requests.create(DIAMOND, id="ctx_mine")
    assert set(requests.statuses("ctx_mine")) < set(DIAMOND)
    requests.create(DIAMOND, id="ctx_mine")
    assert set(requests.statuses("ctx_mine")) == set(DIAMOND)
    requests.finish("ctx_mine", "draft", "score", "check", "send")
    assert requests.status("ctx_mine") == ALL


def test_what_nobody_finishes_creating_fails(requests: Requests) -> None:
    """After ten minutes; what is there of it is cancelled, and nothing can be tried again."""
    parent_id = requests.create(CHAIN)
    requests.repository.contexts.delete_one({"_id": f"{parent_id}_a"})
    requests.make_older(parent_id, 9)
    requests.run()
    assert requests.status(parent_id) == "processing"
    requests.make_older(parent_id, 1)
    requests.run()
    parent = requests.parent(parent_id)
    assert (parent["status"], parent["error"]["type"]) == ("failed", "IncompleteRequest")
    assert requests.statuses(parent_id) == {"b": "cancelled", "c": "cancelled"}
    with pytest.raises(IllegalTransition, match="never stored as a whole"):
        requests.repository.retry(parent_id)


def test_a_parent_alone_fails_too(requests: Requests) -> None:
    """The process died before it stored any child."""
    parent_id = requests.create({"a": ()})
    requests.repository.contexts.delete_one({"_id": f"{parent_id}_a"})
    requests.make_older(parent_id, 10)
    requests.run()
    assert requests.status(parent_id) == "failed"


def test_steps_of_a_request_that_lies_ahead_are_scheduled(requests: Requests) -> None:
    """Those that wait for others wait for these."""
    later = requests.repository.now() + timedelta(hours=1)
    parent_id = requests.create(CHAIN, available_at=later)
    assert requests.statuses(parent_id) == {"a": "scheduled", "b": "waiting", "c": "waiting"}
    requests.repository.run_now(f"{parent_id}_a")
    requests.finish(parent_id, "a")
    due = requests.repository.find_context(f"{parent_id}_b")["available_at"]
    assert due <= requests.repository.now()


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([a_step("a"), a_step("a")], "several steps have the key 'a'"),
        ([a_step("a", "b"), a_step("b", "a")], "wait for each other"),
        ([a_step("a", "x")], "what is no step"),
        ([a_step("a", body={"x": 2**70})], "step 'a'"),
    ],
)
def test_steps_that_do_not_belong_together_are_refused(
    requests: Requests, steps: list[Any], says: str
) -> None:
    """And nothing is stored."""
    with pytest.raises(RequestInvalid, match=says):
        requests.submit(steps)
    assert requests.repository.contexts.count_documents({}) == 0


def test_a_request_stores_what_it_was_asked(requests: Requests) -> None:
    """On its parent and on each step."""
    parent = requests.manager.create_request(
        [a_step("a"), a_step("b", "a", max_attempts=2, priority=1)],
        RequestData(id="req_1", text="hello", data={"x": 1}),
        template_id="campaign",
        template_version="2.0",
        max_attempts=7,
        metadata={"m": 1},
        source="cli",
    )
    stored = requests.parent(parent.id)
    assert (stored["template"]["id"], stored["template"]["version"]) == ("campaign", "2.0")
    assert (stored["request"]["text"], stored["metadata"]) == ("hello", {"m": 1})
    a, b = (requests.repository.find_context(f"{parent.id}_{key}") for key in "ab")
    assert (a["max_attempts"], b["max_attempts"]) == (7, 2)
    assert (a["priority"], b["priority"]) == (5, 1)
    assert (a["request"], a["source"]) == (stored["request"], "cli")
