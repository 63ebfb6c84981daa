"""Settle on a real server: steps wait for others, and parents end as their children do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from agent.duties.settle import LOOK_AGAIN, Settle
from agent.duties.sweep import sweep
from agent.errors import IllegalTransition, RequestInvalid
from agent.models import AttemptRecord, Document, RequestData, Status
from agent.store import changes
from agent.store.changes import Write
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import Selection
from tests.integration.duties.requests import CHAIN, DIAMOND, ERROR, LEASE, Requests, a_step
from tests.waiting import wait_until

ALL = "completed"


@pytest.fixture
def requests(repository: MongoContextRepository) -> Requests:
    repository.create_indexes()
    return Requests(repository)


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
        patch.setattr(requests.repository, "cancel_children", lambda _: False)
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


# The rule of docs/spec/README.md: what a late settler must not write


def late(
    requests: Requests, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None]
) -> None:
    """A settler that reads everything, and then stands still while others go on."""
    read = requests.repository.steps_of

    def steps_of(ids: Sequence[str]) -> list[Document]:
        monkeypatch.setattr(requests.repository, "steps_of", read)
        found = read(ids)
        meanwhile()
        return found

    monkeypatch.setattr(requests.repository, "steps_of", steps_of)
    Settle(requests.repository).run()


def test_what_was_counted_before_a_retry_is_not_written_after_it(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the request would stay failed for ever while its step completes."""
    parent_id = requests.create({"a": (), "b": ()})
    requests.finish(parent_id, "b")
    assert requests.end(requests.begin(parent_id, "a"), fails=True)

    def meanwhile() -> None:
        requests.repository.retry(f"{parent_id}_a")
        requests.settle.run()

    late(requests, monkeypatch, meanwhile)
    requests.run()
    assert requests.status(parent_id) == "processing"
    requests.finish(parent_id, "a")
    assert requests.status(parent_id) == ALL


def test_a_late_settler_does_not_open_what_is_rightly_final(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retry that it saw has failed again, and is counted."""
    parent_id = requests.create({"a": ()})
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry(f"{parent_id}_a")
    fences: list[int] = []

    def meanwhile() -> None:
        requests.finish(parent_id, "a", fails=True)
        assert requests.status(parent_id) == "failed"
        fences.append(requests.parent(parent_id)["fence"])

    late(requests, monkeypatch, meanwhile)
    parent = requests.parent(parent_id)
    assert (parent["status"], [parent["fence"]]) == ("failed", fences)


@pytest.mark.parametrize("taken", ["unsettled.reopens", "unsettled"])
def test_a_late_settler_does_not_take_away_a_later_mark(
    requests: Requests, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    """A second retry opens the request again, whoever is still at the first."""
    parent_id = requests.create({"a": ()})
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry(f"{parent_id}_a")
    write_each = requests.repository.write_each

    def slow(writes: Sequence[Write]) -> int:
        if any(write.update == {"$unset": {taken: ""}} for write in writes):
            monkeypatch.setattr(requests.repository, "write_each", write_each)
            requests.finish(parent_id, "a", fails=True)
            requests.repository.retry(f"{parent_id}_a")
        return write_each(writes)

    monkeypatch.setattr(requests.repository, "write_each", slow)
    Settle(requests.repository).run()
    requests.run()
    assert requests.status(parent_id) == "processing"


def test_a_step_that_came_to_wait_again_too_late_is_cancelled_again(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before it has failed once more meanwhile."""
    parent_id = requests.create(CHAIN)
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry(f"{parent_id}_a")
    requests.settle._settle(requests.repository.unsettled())  # its request is open again

    def meanwhile() -> None:
        requests.finish(parent_id, "a", fails=True)
        assert requests.status(parent_id) == "failed"

    late(requests, monkeypatch, meanwhile)
    requests.run()
    assert requests.statuses(parent_id) == {"a": "failed", "b": "cancelled", "c": "cancelled"}
    assert requests.status(parent_id) == "failed"


def test_a_step_that_was_cancelled_too_late_waits_again(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed one before it has been tried again meanwhile."""
    parent_id = requests.create(CHAIN)
    assert requests.end(requests.begin(parent_id, "a"), fails=True)

    def meanwhile() -> None:
        requests.repository.retry(f"{parent_id}_a")
        requests.run()

    late(requests, monkeypatch, meanwhile)
    requests.run()
    assert requests.statuses(parent_id) == {"a": "pending", "b": "waiting", "c": "waiting"}


# Creation


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


# Batches


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


@pytest.fixture
def other(repository: MongoContextRepository) -> Iterator[MongoContextRepository]:
    """The repository of another process."""
    found = MongoContextRepository.connect(repository.settings)
    yield found
    found.close()


def test_two_settlers_at_once_do_no_harm(requests: Requests, other: MongoContextRepository) -> None:
    """Each request ends once and truly, whoever comes first, and while steps are retried."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def settle(repository: MongoContextRepository) -> None:
        try:
            while not stop.is_set():
                Settle(repository).run()
        except BaseException as exc:
            errors.append(exc)

    repositories = (requests.repository, other)
    threads = [threading.Thread(target=settle, args=(each,)) for each in repositories]
    parents = [requests.create(DIAMOND) for _ in range(3)]
    with ExitStack() as stack:
        stack.callback(lambda: [thread.join() for thread in threads])
        stack.callback(stop.set)
        for thread in threads:
            thread.start()
        _carry_out(requests, parents)
    requests.run()
    assert errors == []
    for parent_id in parents:
        assert set(requests.statuses(parent_id).values()) == {ALL}
        assert requests.status(parent_id) == ALL


def _carry_out(requests: Requests, parents: list[str]) -> None:
    """Carry out what is pending, each step failing the first time, until all is completed."""
    repository = requests.repository
    failed: set[Any] = set()

    def all_done() -> bool:
        for claim in repository.claim("ANALYSIS", calls=100, lease=LEASE, owner="bridge:1"):
            fails = claim.context_id not in failed
            failed.add(claim.context_id)
            assert requests.end(requests.start(claim), fails=fails)
            if fails:
                repository.retry(claim.context_id)
        return all(requests.status(each) == ALL for each in parents)

    wait_until(all_done, timeout=60)


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
