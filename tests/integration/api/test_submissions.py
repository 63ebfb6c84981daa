"""What comes twice under one key makes one request, whoever dies meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from agent.errors import (
    IdempotencyKeyReused,
    RequestInvalid,
    StillInProgress,
    StoreUnavailable,
)
from agent.intake.context_manager import ContextManager
from agent.intake.request_service import Request, RequestService, read_request
from agent.intake.submissions import Submissions
from agent.intake.templates import TemplateSource
from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository

ONE_STEP = {"template": {"service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}}}
TWO_STEPS = {
    "template": {
        "steps": [
            {"key": "draft", "service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}},
            {"key": "send", "service_type": "COMMUNICATION", "service_template": {"to": "a"},
             "after": ["draft"]},
        ]
    }
}  # fmt: skip


def a_request(body: Document = ONE_STEP, **more: Any) -> Request:
    return read_request({**body, **more})


@pytest.fixture
def service(repository: MongoContextRepository) -> RequestService:
    registry = repository.settings.registry
    manager = ContextManager(repository, repository.now, registry, repository.settings)
    return RequestService(manager, TemplateSource(repository, registry=registry), registry)


@pytest.fixture
def submissions(service: RequestService, repository: MongoContextRepository) -> Submissions:
    return Submissions(service, repository)


def stored(repository: MongoContextRepository) -> list[Any]:
    """The ids of all requests."""
    return [each["_id"] for each in repository.contexts.find({"parent_id": None}, {"_id": 1})]


def age(repository: MongoContextRepository, collection: str, field: str, by: timedelta) -> None:
    """Let time pass for all keys of a collection."""
    for found in list(repository.database[collection].find()):
        repository.database[collection].update_one(
            {"_id": found["_id"]}, {"$set": {field: found[field] - by}}
        )


class Crash(BaseException):
    """The process dies."""


@pytest.mark.parametrize("body", [ONE_STEP, TWO_STEPS], ids=["one step", "two steps"])
def test_the_same_key_brings_the_same_answer(
    submissions: Submissions, repository: MongoContextRepository, body: Document
) -> None:
    """And nothing new is stored."""
    first = submissions.submit(a_request(body, idempotency_key="k"), owner="a")
    again = submissions.submit(a_request(body, idempotency_key="k"), owner="a")
    assert first == again
    assert stored(repository) == [first.id]


def test_another_body_under_the_same_key_is_refused(submissions: Submissions) -> None:
    """Even if it differs in what a default would have given."""
    submissions.submit(a_request(idempotency_key="k"), owner="a")
    with pytest.raises(IdempotencyKeyReused):
        submissions.submit(a_request(idempotency_key="k", priority=1), owner="a")


def test_another_owner_may_use_the_same_words(
    submissions: Submissions, repository: MongoContextRepository
) -> None:
    """Two programs that count from 1 do not get each other's requests."""
    ids = {submissions.submit(a_request(idempotency_key="1"), owner=name).id for name in "ab"}
    assert {*stored(repository)} == ids
    assert len(ids) == 2


@pytest.mark.parametrize("kind", ["idempotency_key", "unique_key"])
def test_of_twenty_at_once_one_is_stored(
    submissions: Submissions, repository: MongoContextRepository, kind: str
) -> None:
    """The others get its id, or are told that it is being stored."""
    ready = threading.Barrier(20)

    def submit(_number: int) -> str | None:
        ready.wait()
        try:
            return submissions.submit(a_request(**{kind: "k"}), owner="a").id
        except StillInProgress:
            return None

    with ThreadPoolExecutor(20) as pool:
        answers = {*pool.map(submit, range(20))} - {None}
    assert len(answers) == 1
    assert {*stored(repository)} == answers


@pytest.mark.parametrize("body", [ONE_STEP, TWO_STEPS], ids=["one step", "two steps"])
@pytest.mark.parametrize("half", ["before", "within", "after"])
def test_one_that_dies_midway_is_made_whole_by_the_next(
    submissions: Submissions,
    repository: MongoContextRepository,
    monkeypatch: pytest.MonkeyPatch,
    body: Document,
    half: str,
) -> None:
    """Between taking the key and storing the answer, wherever: the same request, and only one."""
    request = a_request(body, idempotency_key="k", unique_key="u")
    insert = repository.insert_contexts
    count = 0

    def dies(documents: list[Document]) -> None:
        nonlocal count
        count += 1
        if half == "before" or (half == "within" and count == 2):
            raise Crash
        insert(documents)

    def dies_at_the_end(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(repository, "insert_contexts", dies)
        patch.setattr(repository, "keep_answer", dies_at_the_end)
        with pytest.raises(Crash):
            submissions.submit(request, owner="a")
    with pytest.raises(StillInProgress):
        submissions.submit(request, owner="a")
    age(repository, "idempotency_keys", "busy_until", timedelta(minutes=1))
    [reserved] = repository.database["idempotency_keys"].find()
    assert submissions.submit(request, owner="a").id == reserved["request_id"]
    assert stored(repository) == [reserved["request_id"]]
    children = repository.contexts.count_documents({"parent_id": reserved["request_id"]})
    assert children == (2 if body is TWO_STEPS else 0)


def test_one_that_does_not_know_whether_it_was_stored_is_asked_again_at_once(
    submissions: Submissions, repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoDB stored it and went away before it said so."""
    insert = repository.insert_contexts

    def stores_and_is_away(documents: list[Document]) -> None:
        insert(documents)
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(repository, "insert_contexts", stores_and_is_away)
        with pytest.raises(StoreUnavailable):
            submissions.submit(a_request(idempotency_key="k"), owner="a")
    answer = submissions.submit(a_request(idempotency_key="k"), owner="a")
    assert stored(repository) == [answer.id]


def test_a_request_that_is_refused_leaves_no_key(
    submissions: Submissions, repository: MongoContextRepository
) -> None:
    """Its sender mends it and sends it again under the same key."""
    wrong = a_request({"template_id": "nowhere"}, idempotency_key="k", unique_key="u")
    with pytest.raises(RequestInvalid):
        submissions.submit(wrong, owner="a")
    for name in ("idempotency_keys", "unique_keys"):
        assert repository.database[name].count_documents({}) == 0
    assert submissions.submit(a_request(idempotency_key="k", unique_key="u"), owner="a")


def test_after_a_day_a_key_is_as_good_as_new(
    submissions: Submissions, repository: MongoContextRepository
) -> None:
    """Also where the server has not deleted it yet."""
    first = submissions.submit(a_request(idempotency_key="k"), owner="a")
    age(repository, "idempotency_keys", "expire_at", timedelta(hours=25))
    second = submissions.submit(a_request(idempotency_key="k", priority=1), owner="a")
    assert first.id != second.id
    assert submissions.submit(a_request(idempotency_key="k", priority=1), owner="a") == second


def test_a_unique_key_is_free_again_once_its_request_is_final(
    submissions: Submissions, repository: MongoContextRepository
) -> None:
    """Until then whoever asks gets the id of the one that there is."""
    first = submissions.submit(a_request(unique_key="u"), owner="a")
    other = submissions.submit(a_request(unique_key="u", priority=1), owner="b")
    assert (other.id, other.existing) == (first.id, True)
    repository.cancel(first.id)
    second = submissions.submit(a_request(unique_key="u"), owner="a")
    assert second.id != first.id
    assert not second.existing


def test_a_unique_key_whose_holder_is_gone_is_free_again(
    submissions: Submissions, repository: MongoContextRepository
) -> None:
    """It was deleted, or never stored; not before it had its time to be stored."""
    first = submissions.submit(a_request(unique_key="u"), owner="a")
    repository.contexts.delete_one({"_id": first.id})
    with pytest.raises(StillInProgress):
        submissions.submit(a_request(unique_key="u"), owner="a")
    age(repository, "unique_keys", "taken_at", timedelta(minutes=1))
    assert submissions.submit(a_request(unique_key="u"), owner="a").id != first.id
