"""Settle on a real server: steps wait for others, and parents end as their children do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent.duties.plan import LOOK_AGAIN
from agent.duties.sweep import sweep
from agent.errors import IllegalTransition
from agent.models import AttemptRecord, Status
from agent.store import changes
from agent.store.selection import Selection
from tests.integration.duties.requests import CHAIN, DIAMOND, ERROR, Requests

ALL = "completed"


def test_a_request_is_a_parent_and_a_child_for_each_step(requests: Requests) -> None:
    """Only what waits for nothing may begin; all ids come from the parent's."""
    parent_id = requests.create(DIAMOND, priority=3, tags={"team": "a"})
    parent = requests.parent(parent_id)
    assert (parent["kind"], parent["service_type"], parent["status"]) == (
        "parent", "REQUEST", "processing",
    )  # fmt: skip
    assert (parent["total"], parent["steps"], parent["fence"]) == (4, list(DIAMOND), 0)
    assert "lease" not in parent
    assert requests.statuses(parent_id) == {
        "draft": "pending", "score": "waiting", "check": "waiting", "send": "waiting",
    }  # fmt: skip
    send = requests.repository.find_context(f"{parent_id}_send")
    assert send["after"] == [f"{parent_id}_score", f"{parent_id}_check"]
    assert (send["priority"], send["tags"], send["parent_id"]) == (3, {"team": "a"}, parent_id)


def test_a_diamond_is_carried_out_in_its_order(requests: Requests) -> None:
    """Steps begin when all before them are completed, and the last one ends the request."""
    parent_id = requests.create(DIAMOND)
    requests.finish(parent_id, "draft")
    assert requests.statuses(parent_id) == {
        "draft": ALL, "score": "pending", "check": "pending", "send": "waiting",
    }  # fmt: skip
    assert requests.progress(parent_id) == {
        "total": 4, "processed": 1, "succeeded": 1, "failed": 0, "cancelled": 0, "percentage": 25.0,
    }  # fmt: skip
    requests.finish(parent_id, "score")
    assert requests.statuses(parent_id)["send"] == "waiting"
    requests.finish(parent_id, "check", "send")
    parent = requests.parent(parent_id)
    assert set(requests.statuses(parent_id).values()) == {ALL}
    assert (parent["status"], parent["results"]["progress"]["percentage"]) == (ALL, 100.0)
    assert parent["completed_at"] is not None
    assert "unsettled" not in parent
    assert requests.repository.contexts.count_documents({"unsettled": {"$exists": True}}) == 0


def test_a_failure_cancels_what_depends_on_it_and_nothing_else(requests: Requests) -> None:
    """Near and far; the parent says which step it was."""
    graph = {**CHAIN, "other": ()}
    parent_id = requests.create(graph)
    requests.finish(parent_id, "a", fails=True)
    assert requests.statuses(parent_id) == {
        "a": "failed", "b": "cancelled", "c": "cancelled", "other": "pending",
    }  # fmt: skip
    assert requests.status(parent_id) == "processing"
    requests.finish(parent_id, "other")
    parent = requests.parent(parent_id)
    assert parent["status"] == "failed"
    assert parent["error"]["type"] == "StepsFailed"
    assert parent["error"]["message"] == "`a` (BadRequest) failed; `b`, `c` were cancelled"
    assert parent["results"]["progress"]["cancelled"] == 2


def test_a_step_that_may_fail_stops_nobody(requests: Requests) -> None:
    """What comes after it goes on; the request counts as failed all the same."""
    parent_id = requests.create(CHAIN, goes_on=("a",))
    requests.finish(parent_id, "a", fails=True)
    assert requests.statuses(parent_id) == {"a": "failed", "b": "pending", "c": "waiting"}
    requests.finish(parent_id, "b", "c")
    assert requests.status(parent_id) == "failed"


def test_the_whole_is_cancelled(requests: Requests) -> None:
    """All that is not final at once, what runs included; its result is dropped."""
    parent_id = requests.create(DIAMOND)
    requests.finish(parent_id, "draft")
    hold = requests.begin(parent_id, "score")
    requests.repository.cancel(parent_id)
    requests.run()
    assert not requests.end(hold)
    assert requests.statuses(parent_id) == {
        "draft": ALL, "score": "cancelled", "check": "cancelled", "send": "cancelled",
    }  # fmt: skip
    assert requests.status(parent_id) == "cancelled"
    with pytest.raises(IllegalTransition, match="is cancelled"):
        requests.repository.cancel(parent_id)


def test_an_interrupted_cancellation_is_finished(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked for it may die once the parent says so."""
    parent_id = requests.create(CHAIN)
    with monkeypatch.context() as patch:
        patch.setattr(requests.repository, "cancel_children", lambda *_, **__: False)
        requests.repository.cancel(parent_id)
    assert set(requests.statuses(parent_id).values()) == {"pending", "waiting"}
    requests.run()
    assert set(requests.statuses(parent_id).values()) == {"cancelled"}
    assert requests.status(parent_id) == "cancelled"


def test_a_cancelled_step_cancels_what_depends_on_it(requests: Requests) -> None:
    """It is one that will not be completed."""
    parent_id = requests.create(CHAIN)
    requests.repository.cancel(f"{parent_id}_a")
    requests.run()
    assert set(requests.statuses(parent_id).values()) == {"cancelled"}
    assert requests.status(parent_id) == "failed"


def test_a_retry_of_a_step_opens_its_request_again(requests: Requests) -> None:
    """What was cancelled because of it waits again, and all of it may be completed after all."""
    parent_id = requests.create(DIAMOND)
    requests.finish(parent_id, "draft")
    requests.finish(parent_id, "score", fails=True)
    requests.finish(parent_id, "check")
    assert requests.status(parent_id) == "failed"
    requests.repository.retry(f"{parent_id}_score")
    requests.run()
    assert requests.statuses(parent_id) == {
        "draft": ALL, "score": "pending", "check": ALL, "send": "waiting",
    }  # fmt: skip
    parent = requests.parent(parent_id)
    assert (parent["status"], parent["completed_at"]) == ("processing", None)
    assert "error" not in parent
    requests.finish(parent_id, "score", "send")
    assert requests.status(parent_id) == ALL


def test_a_retry_that_ends_before_anybody_settles_opens_its_request_too(
    requests: Requests,
) -> None:
    """The mark of the retry is not overwritten by that of the end."""
    parent_id = requests.create({"a": (), "b": ()})
    requests.finish(parent_id, "a", fails=True)
    requests.finish(parent_id, "b")
    requests.repository.retry(f"{parent_id}_a")
    assert requests.end(requests.begin(parent_id, "a"))
    requests.run()
    assert requests.status(parent_id) == ALL


def test_a_step_that_is_retried_behind_a_failed_one_is_cancelled_again(requests: Requests) -> None:
    """And waits once the failed one is tried again, too."""
    parent_id = requests.create(CHAIN)
    requests.finish(parent_id, "a", fails=True)
    assert requests.repository.retry(f"{parent_id}_b")["status"] == "waiting"
    requests.run()
    assert requests.statuses(parent_id) == {"a": "failed", "b": "cancelled", "c": "cancelled"}
    requests.repository.retry(f"{parent_id}_a")
    requests.finish(parent_id, "a", "b", "c")
    assert requests.status(parent_id) == ALL


def test_a_retry_of_the_whole_begins_what_failed_and_leaves_what_runs(requests: Requests) -> None:
    """Each under a new generation; what is completed stays."""
    graph = {"good": (), "bad": (), "slow": (), "next": ("bad",)}
    parent_id = requests.create(graph)
    requests.finish(parent_id, "good")
    requests.finish(parent_id, "bad", fails=True)
    hold = requests.begin(parent_id, "slow")
    requests.repository.retry(parent_id)
    requests.run()
    assert requests.statuses(parent_id) == {
        "good": ALL, "bad": "pending", "slow": "processing", "next": "waiting",
    }  # fmt: skip
    assert requests.repository.find_context(f"{parent_id}_bad")["generation"] == 1
    assert requests.end(hold)
    requests.finish(parent_id, "bad", "next")
    parent = requests.parent(parent_id)
    assert parent["status"] == ALL
    assert "retrying" not in parent
    with pytest.raises(IllegalTransition, match="is completed"):
        requests.repository.retry(parent_id)


def test_an_interrupted_retry_of_the_whole_is_finished(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then the request does not end, though all its steps are final."""
    parent_id = requests.create(CHAIN)
    requests.finish(parent_id, "a", fails=True)
    with monkeypatch.context() as patch:
        patch.setattr(requests.repository, "retry_children", lambda *_, **__: False)
        requests.repository.retry(parent_id)
        requests.settle.run()
    assert requests.status(parent_id) == "processing"
    requests.run()
    assert requests.statuses(parent_id) == {"a": "pending", "b": "waiting", "c": "waiting"}


def test_what_fails_after_a_retry_of_the_whole_is_not_begun_by_it(requests: Requests) -> None:
    """However late settle comes to finish it."""
    parent_id = requests.create({"a": ()})
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry(parent_id)
    assert requests.end(requests.begin(parent_id, "a"), fails=True)
    requests.run()
    assert requests.statuses(parent_id) == {"a": "failed"}
    assert requests.status(parent_id) == "failed"


def test_a_cancelled_whole_is_begun_again(requests: Requests) -> None:
    """What waited for others waits again."""
    parent_id = requests.create(CHAIN)
    requests.finish(parent_id, "a")
    requests.repository.cancel(parent_id)
    requests.run()
    requests.repository.retry(parent_id)
    requests.run()
    assert requests.statuses(parent_id) == {"a": ALL, "b": "pending", "c": "waiting"}
    requests.finish(parent_id, "b", "c")
    assert requests.status(parent_id) == ALL


def test_settling_again_changes_nothing(requests: Requests) -> None:
    """Whatever the marks say."""
    parent_id = requests.create(DIAMOND)
    requests.finish(parent_id, "draft")
    before = list(requests.repository.contexts.find({"parent_id": parent_id}))
    requests.repository.contexts.update_many(
        {"parent_id": parent_id}, {"$set": {"unsettled": {"at": requests.repository.now()}}}
    )
    requests.run()
    assert list(requests.repository.contexts.find({"parent_id": parent_id})) == before
    assert requests.status(parent_id) == "processing"


def test_a_lost_mark_delays_a_request_and_does_not_stop_it(requests: Requests) -> None:
    """An open parent is looked at from time to time."""
    parent_id = requests.create(CHAIN)
    assert requests.end(requests.begin(parent_id, "a"))
    contexts = requests.repository.contexts
    contexts.update_one({"_id": f"{parent_id}_a"}, {"$unset": {"unsettled": ""}})
    requests.run()
    assert requests.statuses(parent_id)["b"] == "waiting"
    look_at = requests.parent(parent_id)["unsettled"]["at"] - LOOK_AGAIN
    contexts.update_one({"_id": parent_id}, {"$set": {"unsettled.at": look_at}})
    requests.run()
    assert requests.statuses(parent_id)["b"] == "pending"


# Time


def test_a_deadline_ends_the_whole(requests: Requests) -> None:
    """What has not begun by then fails, so the request does."""
    parent_id = requests.create(CHAIN, deadline_at=requests.repository.now() + timedelta(hours=1))
    past = requests.repository.now() - timedelta(seconds=1)
    requests.repository.contexts.update_many(
        {"parent_id": parent_id}, {"$set": {"deadline_at": past}}
    )
    sweep(requests.repository)
    requests.run()
    assert set(requests.statuses(parent_id).values()) == {"failed"}
    assert requests.status(parent_id) == "failed"


def test_children_are_kept_as_long_as_their_parent(requests: Requests) -> None:
    """From its end; one that is opened again is kept, with all of it."""
    parent_id = requests.create({"a": (), "b": ()}, retention=timedelta(days=30))
    requests.finish(parent_id, "a", fails=True)
    requests.finish(parent_id, "b")
    contexts = requests.repository.contexts
    until = requests.parent(parent_id)["expire_at"]
    assert until > requests.repository.now() + timedelta(days=29)
    assert {each["expire_at"] for each in contexts.find({"parent_id": parent_id})} == {until}
    requests.repository.retry(f"{parent_id}_a")
    requests.run()
    assert contexts.count_documents({"expire_at": {"$exists": True}}) == 0


# Others


def test_what_is_done_to_many_at_once_is_settled_too(requests: Requests) -> None:
    """Steps among them leave their marks; parents are left to their children."""
    parent_id = requests.create({**CHAIN, "d": ()})
    requests.finish(parent_id, "a", fails=True)
    requests.repository.cancel_matching(Selection(service_type="ANALYSIS"))
    requests.run()
    assert requests.status(parent_id) == "failed"
    for status in (Status.CANCELLED, Status.FAILED):
        requests.repository.retry_matching(Selection(status=status))
    requests.run()
    assert requests.statuses(parent_id) == {
        "a": "pending", "b": "waiting", "c": "waiting", "d": "pending",
    }  # fmt: skip
    assert requests.status(parent_id) == "processing"


def test_a_step_whose_worker_vanished_for_good_ends_its_request(requests: Requests) -> None:
    """Rescue leaves a mark as well."""
    parent_id = requests.create(CHAIN)
    hold = requests.begin(parent_id, "a")
    contexts = requests.repository.contexts
    past = requests.repository.now() - timedelta(hours=1)
    contexts.update_one({"_id": hold.context_id}, {"$set": {"lease.expires_at": past}})
    [found] = requests.repository.expired_leases()
    attempt = AttemptRecord(number=1, outcome="lost")
    assert requests.repository.rescue_fail(found, error=ERROR, attempt=attempt)
    requests.run()
    assert requests.status(parent_id) == "failed"


def test_a_parent_is_never_claimed_rescued_adopted_or_touched_as_a_context(
    requests: Requests,
) -> None:
    """It has no lease, and no service."""
    repository = requests.repository
    parent_id = requests.create(CHAIN)
    assert repository.without_lease() == []
    assert repository.expired_leases() == []
    assert repository.foreign() == []
    assert repository.in_flight() == []
    now = repository.now()
    assert not repository.write_back(changes.cancel(now, parent_id))
    parent = {**requests.parent(parent_id), "status": "failed"}
    repository.contexts.update_one({"_id": parent_id}, {"$set": {"status": "failed"}})
    assert not repository.write_back(changes.retry(now, parent, fresh_key=False))


def test_marks_without_a_parent_are_taken_away(requests: Requests) -> None:
    """Another program may have written anything, and none of it stops the rest."""
    contexts = requests.repository.contexts
    now = requests.repository.now()
    strange: list[dict[str, Any]] = [
        {"_id": "x", "parent_id": "nobody", "status": "failed", "unsettled": {"at": now}},
        {"_id": {"y": 1}, "kind": "parent", "unsettled": {"at": now, "token": 7}},
        {"_id": "z", "kind": "parent", "parent_id": ["a"], "unsettled": {"at": now}},
        {"_id": "w", "parent_id": {"a": 1}, "unsettled": {"at": now, "token": [1]}},
    ]
    contexts.insert_many(strange)
    parent_id = requests.create(CHAIN)
    contexts.insert_one(
        {"_id": 5, "parent_id": parent_id, "status": "odd", "after": [[1], {}],
         "unsettled": {"at": now}}
    )  # fmt: skip
    requests.finish(parent_id, "a", "b", "c")
    assert requests.status(parent_id) == ALL
    assert contexts.count_documents({"unsettled": {"$exists": True}}) == 0
