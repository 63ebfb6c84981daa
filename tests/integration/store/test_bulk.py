"""All that match, begun anew at once, on a real server."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bson
import pytest
from bson import ObjectId

from agent.errors import RequestInvalid
from agent.fingerprint import fingerprint_of
from agent.models import FINAL, Document, Status
from agent.settings import Settings
from agent.store import pace
from agent.store.bulk import Progress
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import UNKNOWN, Selection
from agent.store.spread import Spread
from tests.factories import LONG_AGO, a_context, foreign
from tests.integration.store.failures import SECOND, a_failure

OPEN = [status for status in Status if status not in FINAL]
EVERYTHING = Selection()
KIND = fingerprint_of("ServiceRejected", "no")


@pytest.fixture(params=[True, False], ids=["indexed", "without indexes"])
def indexed(request: pytest.FixtureRequest, repository: MongoContextRepository) -> None:
    """What is asked does not depend on the indexes."""
    if request.param:
        repository.create_indexes()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches of a few documents."""
    monkeypatch.setattr(pace, "BATCH", 5)


def generations(repository: MongoContextRepository) -> Counter[Any]:
    """How many contexts are in which generation and status."""
    found = repository.contexts.find({}, {"generation": 1, "status": 1})
    return Counter((each.get("generation"), each["status"]) for each in found)


def ids_in(repository: MongoContextRepository, status: str) -> set[Any]:
    return {each["_id"] for each in repository.contexts.find({"status": status}, {"_id": 1})}


# Which ones


SOUGHT: dict[str, tuple[Selection, Document]] = {
    "everything": (Selection(), {}),
    "service": (Selection(service_type="ANALYSIS"), {"service_type": "ANALYSIS"}),
    "kind": (Selection(kind=KIND), {}),
    "kind of a service": (Selection(kind=KIND, service_type="ANALYSIS"),
                          {"service_type": "ANALYSIS"}),
    "error": (Selection(error_type="ServiceRejected"), {}),
    "tag": (Selection(tag=("team", "north")), {"tags": {"team": "north"}}),
    "tag of a list": (Selection(tag="user:42"), {"tags": ["generative", "user:42"]}),
    "template": (Selection(template_id="t1"), {"template": {"id": "t1", "service_type": "X"}}),
    "user": (Selection(user_id="u1"), {"request": {"id": "r", "user_id": "u1"}}),
    "user by a word of MongoDB": (Selection(user_id='{"$gt": ""}'),
                                  {"request": {"id": "r", "user_id": '{"$gt": ""}'}}),
    "since": (Selection(since=LONG_AGO + 60 * SECOND), {"second": 60}),
    "until": (Selection(until=LONG_AGO - SECOND), {"second": -1}),
    "cancelled": (Selection(status=Status.CANCELLED), {"status": "cancelled"}),
}  # fmt: skip

OTHERS: dict[str, Document] = {
    "service": {"service_type": "GENERATIVE"},
    "kind": {"error_type": "Forbidden"},
    "kind of a service": {"service_type": "ANALYSIS", "error_type": "Forbidden"},
    "error": {"error_type": "Forbidden"},
    "tag": {"tags": {"team": "south"}},
}
"""What nearly matches; else a context with nothing of that."""


@pytest.mark.usefixtures("indexed")
@pytest.mark.parametrize("name", SOUGHT)
def test_what_matches_is_begun_anew(repository: MongoContextRepository, name: str) -> None:
    """And nothing else; it is counted beforehand."""
    selection, fields = SOUGHT[name]
    fields = dict(fields)
    status = fields.pop("status", "failed")
    ours = [{**a_failure(**fields), "status": status} for _ in range(3)]
    others = [a_context(status="completed"), a_context()]
    if name != "everything":
        others.append(a_failure(**OTHERS.get(name, {})))
    repository.insert_contexts([*ours, *others])
    assert repository.count_retriable(selection) == 3
    progress = repository.retry_matching(selection)
    assert (progress.matched, progress.changed) == (3, 3)
    assert (progress.moved_on, progress.refused) == (0, 0)
    begun = {each["_id"] for each in repository.contexts.find({"generation": 1}, {"_id": 1})}
    assert begun == {each["_id"] for each in ours}
    assert repository.retry_matching(selection).matched == 0


def test_what_has_no_kind_is_begun_anew(repository: MongoContextRepository) -> None:
    """Documents of other programs, which say neither when nor what, are adopted anew."""
    ids = [ObjectId(), 17, "old"]
    repository.contexts.insert_many(
        [foreign(_id=each, status="failed", error=error)
         for each, error in zip(ids, ["boom", None, {"fingerprint": {"$gt": ""}}], strict=True)]
    )  # fmt: skip
    repository.insert_contexts([a_failure()])
    assert repository.retry_matching(Selection(kind=UNKNOWN)).changed == 3
    assert ids_in(repository, "pending") == set(ids)


@pytest.mark.parametrize("status", [*OPEN, Status.COMPLETED])
def test_only_what_failed_or_was_cancelled_is_tried_again(
    repository: MongoContextRepository, status: Status
) -> None:
    """As for a single one."""
    for ask in (repository.retry_matching, repository.count_retriable):
        with pytest.raises(RequestInvalid, match=str(status)):
            ask(Selection(status=status))


# The same as one by one


HISTORIES: dict[str, Document] = {
    "definite": {},
    "unknown": {"attempts": [{"number": 1, "outcome": "failed", "definite": False}]},
    "never called": {"attempt": 0, "attempts": []},
    "spoilt": {"attempts": [None], "generation": "x", "updated_at": None},
    "not adopted": {"fence": None},
    "deadline": {"deadline_at": LONG_AGO, "failures": 20, "expire_at": LONG_AGO, "results": {}},
}


@pytest.mark.parametrize("fresh_key", [None, True, False])
@pytest.mark.parametrize("name", HISTORIES)
def test_each_becomes_what_a_single_retry_makes_of_it(
    repository: MongoContextRepository, name: str, fresh_key: bool | None
) -> None:
    """The same guard, the same rule for the idempotency key, the history kept."""
    document = {**a_failure(_id="single"), **HISTORIES[name]}
    if document["fence"] is None:
        del document["fence"]
    other = {**document, "_id": "bulk", "tags": {"bulk": "yes"}}
    repository.contexts.insert_many([document, other])
    repository.retry("single", fresh_key=fresh_key)
    assert repository.retry_matching(Selection(tag=("bulk", "yes")), fresh_key=fresh_key).changed
    single, bulk = (repository.find_context(each) for each in ("single", "bulk"))
    for found in (single, bulk):
        for field in ("_id", "tags", "updated_at", "available_at"):
            del found[field]
    assert bulk == single


# Bounds, and coming to an end


@pytest.mark.usefixtures("small_batches", "indexed")
def test_it_goes_in_batches_and_tells_how_far_it_is(repository: MongoContextRepository) -> None:
    """A tie of times is no reason to miss one, nor ids of several types."""
    repository.insert_contexts(
        [a_failure(_id=each) for n in range(6) for each in (n, f"ctx_{n}", ObjectId())]
    )
    told: list[Progress] = []
    progress = repository.retry_matching(EVERYTHING, on_progress=told.append)
    assert [each.changed for each in told] == [5, 10, 15, 18]
    assert told[-1] == progress
    assert generations(repository) == {(1, "pending"): 18}


@pytest.mark.usefixtures("small_batches")
def test_so_many_at_most(repository: MongoContextRepository) -> None:
    """The next time it goes on with the rest."""
    repository.insert_contexts([a_failure(second=n) for n in range(12)])
    assert repository.count_retriable(EVERYTHING, up_to=7) == 7
    assert repository.retry_matching(EVERYTHING, limit=7).changed == 7
    assert generations(repository) == {(1, "pending"): 7, (0, "failed"): 5}
    assert repository.retry_matching(EVERYTHING, limit=7).changed == 5


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("asked", [Selection(), Selection(service_type="GENERATIVE"),
                                   Selection(kind=KIND)])  # fmt: skip
def test_what_fails_again_meanwhile_is_not_begun_again(
    repository: MongoContextRepository, asked: Selection
) -> None:
    """A service that is still down keeps nobody busy for ever."""
    repository.insert_contexts([a_failure(second=n) for n in range(20)])

    def fail_again(_: Progress) -> None:
        later = repository.now() + SECOND
        repository.contexts.update_many(
            {"status": "pending"},
            {"$set": {"status": "failed", "completed_at": later,
                      "error": {"type": "X", "message": "x", "fingerprint": KIND}}},
        )  # fmt: skip

    assert repository.retry_matching(asked, on_progress=fail_again).changed == 20
    assert generations(repository) == {(1, "failed"): 20}


def test_what_fails_after_the_beginning_is_for_the_next_run(
    repository: MongoContextRepository,
) -> None:
    """Even where the cursor comes by it: it may be the run's own doing."""
    later = repository.now() + 60 * SECOND
    repository.insert_contexts([a_failure(_id="before"), {**a_failure(_id="after"),
                                                          "completed_at": later}])  # fmt: skip
    assert repository.retry_matching(EVERYTHING).changed == 1
    assert ids_in(repository, "failed") == {"after"}


@pytest.mark.usefixtures("small_batches")
def test_a_run_that_ended_midway_is_run_again(repository: MongoContextRepository) -> None:
    """Whatever ended it: each is begun anew once."""
    repository.insert_contexts([a_failure(second=n) for n in range(20)])

    def end(progress: Progress) -> None:
        if progress.changed >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repository.retry_matching(EVERYTHING, on_progress=end)
    assert repository.retry_matching(EVERYTHING).changed == 10
    assert generations(repository) == {(1, "pending"): 20}


def test_a_rate_is_kept(repository: MongoContextRepository) -> None:
    """By writing a batch a second, so that what is not yet begun is still there as failed."""
    repository.insert_contexts([a_failure(second=n) for n in range(7)])
    left: list[int] = []

    def wait(_: float) -> None:
        left.append(repository.contexts.count_documents({"status": "failed"}))

    slowly = pace.Pace(3, monotonic=lambda: 0.0, wait=wait)
    assert repository.retry_matching(EVERYTHING, pace=slowly).changed == 7
    assert left == [4, 1]


@pytest.mark.usefixtures("small_batches")
def test_they_begin_one_after_the_other(repository: MongoContextRepository) -> None:
    """At a rate, across batches: the first at once, the others wait for their turn, but for steps
    that wait for others anyway."""
    step = {"parent_id": "req", "after": ["req_draft"], "second": 99}
    repository.insert_contexts([*(a_failure(second=n) for n in range(12)), a_failure(**step)])
    spread = Spread(repository.now(), per_minute=6)
    assert repository.retry_matching(EVERYTHING, spread=spread).changed == 13
    found = list(repository.contexts.find({"parent_id": {"$exists": False}}))
    due = sorted(each["available_at"] for each in found)
    assert [(each - due[0]).total_seconds() for each in due[1:]] == pytest.approx(
        [10 * n for n in range(1, 12)], abs=1
    )
    assert generations(repository) == {(1, "pending"): 1, (1, "scheduled"): 11, (1, "waiting"): 1}
    assert {each["wait_reason"] for each in found} == {None, "retry"}
    assert len(repository.to_be_tried_again(99)) == 11


def test_of_some_those_are_begun_that_still_match(repository: MongoContextRepository) -> None:
    """What was begun, or failed in another way, since they were found is left alone."""
    repository.insert_contexts([a_failure(_id=each) for each in ("a", 17, "c", "d")])
    ids = repository.retriable_ids(Selection(kind=KIND), limit=3)
    assert len(ids) == 3
    repository.retry("a")
    repository.contexts.update_one({"_id": "c"}, {"$set": {"error.fingerprint": "other"}})
    progress = repository.retry_ids(["a", 17, "c", "gone"], Selection(kind=KIND))
    assert (progress.changed, progress.moved_on) == (1, 3)
    assert generations(repository) == {(1, "pending"): 2, (0, "failed"): 2}


def test_two_at_once_begin_each_once(quick_settings: Settings) -> None:
    """What the one has begun, the other leaves alone and counts apart."""
    repositories = [MongoContextRepository.connect(quick_settings) for _ in range(2)]
    count = 1200
    repositories[0].insert_contexts([a_failure(second=n) for n in range(count)])
    together = threading.Barrier(2)

    def retry(repository: MongoContextRepository) -> Progress:
        together.wait(30)
        return repository.retry_matching(EVERYTHING)

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(retry, repositories))
    assert sum(each.changed for each in told) == count
    assert all(each.matched == each.changed + each.moved_on for each in told)
    assert generations(repositories[0]) == {(1, "pending"): count}
    for repository in repositories:
        repository.close()


def test_one_that_is_changed_in_between_is_left_alone(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read as failed, and somebody has begun it anew since: it counts as moved on."""
    repository.insert_contexts([a_failure(_id="a"), a_failure(_id="b")])
    write_each = repository._write_batch

    def after_another(writes: Any) -> Any:
        repository.retry("a")
        return write_each(writes)

    monkeypatch.setattr(repository, "_write_batch", after_another)
    progress = repository.retry_matching(EVERYTHING)
    assert (progress.matched, progress.changed, progress.moved_on) == (2, 1, 1)
    assert generations(repository) == {(1, "pending"): 2}


def test_one_that_mongodb_refuses_costs_only_itself(repository: MongoContextRepository) -> None:
    """A document so full that not even a retry fits into it."""
    full = {**foreign(_id="full"), "fence": 0, "status": "failed", "pad": ""}
    size = len(bson.encode(full))
    full["pad"] = "x" * (16 * 1024 * 1024 - size)
    repository.contexts.insert_one(full)
    repository.insert_contexts([a_failure(), a_failure()])
    progress = repository.retry_matching(EVERYTHING)
    assert (progress.changed, progress.refused, progress.moved_on) == (2, 1, 0)
