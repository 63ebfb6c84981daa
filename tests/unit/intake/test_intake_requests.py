"""From a request to the context that is inserted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.errors import (
    NotStorable,
    RequestInvalid,
    StoreUnavailable,
    TemplateNotFound,
    UnknownServiceType,
)
from agent.intake.context_manager import ContextManager
from agent.intake.request_service import RequestService, read_request
from agent.intake.templates import TemplateSource
from agent.models import Context, Document, RequestData, Template
from agent.services import ServiceRegistry
from agent.settings import Settings

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
REGISTRY = ServiceRegistry()
INLINE = {"service_type": "generative", "service_template": {"prompt": "Hi"}}
TEMPLATE = Template(id="t", service_type="ANALYSIS", service_template={"a": 1})


class Inserts:
    """Remembers each insert, or fails it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.batches: list[list[Document]] = []
        self.failure = failure

    def insert_contexts(self, documents: list[Document]) -> None:
        if self.failure is not None:
            raise self.failure
        self.batches.append(documents)


def a_manager(inserts: Inserts) -> ContextManager:
    """A manager with a clock that stands still."""
    return ContextManager(inserts, lambda: NOW, REGISTRY, Settings())


def submitted(**fields: Any) -> Document:
    """The document that a request becomes."""
    inserts = Inserts()
    templates = TemplateSource(None, registry=REGISTRY)
    service = RequestService(a_manager(inserts), templates, REGISTRY)
    context_id = service.submit(read_request({"template": INLINE, **fields}))
    [[document]] = inserts.batches
    assert context_id == document["_id"]
    Context.model_validate(document)
    return document


def refused(**fields: Any) -> str:
    """Why a request is refused."""
    with pytest.raises(RequestInvalid) as caught:
        submitted(**fields)
    return str(caught.value)


def test_a_request_becomes_a_pending_context() -> None:
    """Every field of the contract is there, and none that stands for something not yet there."""
    document = submitted(text="Hello", user_id="u1", data={"a": [1]}, tags=["x"], max_attempts=3)
    assert document["_id"].startswith("ctx_")
    assert document["request"].pop("id").startswith("req_")
    assert document["request"] == {
        "text": "Hello",
        "user_id": "u1",
        "purpose_id": None,
        "data": {"a": [1]},
        "metadata": {},
        "selection": {
            "purpose_id": None,
            "template_id": "inline",
            "version": "1.0",
            "by": "template",
            "score": None,
            "runner_up": None,
        },
    }
    assert document["template"] == {
        "id": "inline",
        "version": "1.0",
        "service_type": "GENERATIVE",
        "service_template": {"prompt": "Hi"},
        "parameters": None,
    }
    expected = {
        "status": "pending",
        "wait_reason": None,
        "service_type": "GENERATIVE",
        "priority": 5,
        "max_attempts": 3,
        "fence": 0,
        "source": "api",
        "tags": ["x"],
        "created_at": NOW,
        "available_at": NOW,
    }
    assert expected == {name: document[name] for name in expected}
    assert not {"lease", "remote", "expire_at", "results", "error"} & set(document)


@pytest.mark.parametrize("place", ["data", "metadata"])
def test_an_urgent_request_has_priority_1(place: str) -> None:
    """Whatever priority it asks for."""
    assert submitted(**{place: {"urgent": True}}, priority=9)["priority"] == 1
    assert submitted(**{place: {"urgent": False}}, priority=9)["priority"] == 9


def test_a_request_for_later_is_scheduled() -> None:
    """It waits for its time, with the reason; one for the past runs at once."""
    document = submitted(available_at="2025-03-01T14:00:00+01:00")
    assert tuple(document[name] for name in ("status", "wait_reason", "available_at")) == (
        "scheduled",
        "delay",
        LATER,
    )
    document = submitted(available_at="2025-02-01T14:00:00")
    assert tuple(document[name] for name in ("status", "wait_reason", "available_at")) == (
        "pending",
        None,
        NOW,
    )


def test_every_problem_of_a_body_is_named() -> None:
    """With its field, and never with what stood in it."""
    message = refused(
        priority="high", data=[1], max_attempts=0, deadline_at="soon", user_id=4, colour="secret"
    )
    for field in ("priority", "data", "max_attempts", "deadline_at", "user_id", "colour"):
        assert f"`{field}`: " in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"purpose_id": "p", "template": None}, ["no purpose 'p' is stored; there are none"]),
        (
            {"template": None},
            ["no template: give a `template_id`, or a `template`; or a `purpose_id`"],
        ),
        ({"template_id": "t"}, ["give one of them, not both"]),
        (
            {"purpose_id": "p", "template": {**INLINE, "service_type": "poetry"}},
            ["`template` and `purpose_id`: give one of them", "'poetry'; known are GENERATIVE"],
        ),
        ({"available_at": LATER, "deadline_at": NOW}, ["`deadline_at` is not after"]),
        ({"deadline_at": NOW}, ["`deadline_at` is not after"]),
        ({"template": {**INLINE, "steps": []}}, ["`steps` and has a `service_template`"]),
        ({"data": {"a": 2**70}}, ["cannot be stored", "8-byte ints"]),
        ({"data": {"a\0": 1}}, ["cannot be stored", "NULL byte"]),
        ({"data": {"a": "\ud800"}}, ["cannot be stored", "surrogates"]),
        ({"data": {"a": {1, 2}}}, ["cannot be stored"]),
        ({"data": {"a": "x" * (15 * 2**20)}}, ["has 15.0 MB; at most 15 MB"]),
    ],
)
def test_a_request_that_cannot_become_a_context_says_why(
    fields: dict[str, Any], expected: list[str]
) -> None:
    """Nothing is inserted, and the message says what to do."""
    message = refused(**fields)
    assert all(words in message for words in expected), message


@pytest.mark.parametrize("depth", [91, 300, 100_000])
def test_a_request_nested_too_deeply_is_refused(depth: int) -> None:
    """By a count, and not by whatever breaks first."""
    deep: Any = {}
    for _ in range(depth):
        deep = {"d": deep}
    assert "'request' holds more than 90 objects or lists" in refused(data=deep)
    template = {**INLINE, "service_template": deep}
    assert "'template' holds more than 90 objects or lists" in refused(template=template)


def test_an_unknown_template_is_not_found() -> None:
    """So that a door can tell it from other bad input."""
    with pytest.raises(TemplateNotFound, match="no template 'x'"):
        submitted(template=None, template_id="x")


def test_many_requests_are_one_insert() -> None:
    """Each its own context, with its own id."""
    inserts = Inserts()
    requests = [RequestData(id=f"r{n}") for n in range(3)]
    contexts = a_manager(inserts).create_many(TEMPLATE, requests, priority=2, source="batch")
    [batch] = inserts.batches
    assert [document["request"]["id"] for document in batch] == ["r0", "r1", "r2"]
    assert [context.id for context in contexts] == [document["_id"] for document in batch]
    assert len({context.id for context in contexts}) == 3


def test_no_requests_are_no_insert() -> None:
    """An empty batch asks the store nothing."""
    inserts = Inserts()
    assert a_manager(inserts).create_many(TEMPLATE, []) == []
    assert inserts.batches == []


def test_one_wrong_request_of_many_is_named_and_none_is_inserted() -> None:
    """By its number."""
    inserts = Inserts()
    requests = [RequestData(id="r1"), RequestData(id="r2", data={"a": 2**70})]
    with pytest.raises(RequestInvalid, match="request 2 of 2: "):
        a_manager(inserts).create_many(TEMPLATE, requests)
    assert inserts.batches == []


@pytest.mark.parametrize(
    ("failure", "raised"),
    [(NotStorable("too deep"), RequestInvalid), (StoreUnavailable("away"), StoreUnavailable)],
)
def test_what_the_store_refuses_is_the_requests_fault_and_an_outage_is_not(
    failure: Exception, raised: type[Exception]
) -> None:
    """Only the latter can be mended by another try."""
    with pytest.raises(raised, match=str(failure)):
        a_manager(Inserts(failure)).create_service_context(TEMPLATE, RequestData(id="r"))


def test_an_unknown_service_type_of_a_template_is_refused() -> None:
    """The message says which are known."""
    template = Template(id="t", service_type="POETRY")
    with pytest.raises(UnknownServiceType, match="known are GENERATIVE"):
        a_manager(Inserts()).create_service_context(template, RequestData(id="r"))


def test_max_attempts_is_that_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the request says otherwise."""
    monkeypatch.setenv("ANALYSIS_BASE_MAX_ATTEMPTS", "3")
    manager = a_manager(Inserts())
    request = RequestData(id="r")
    assert manager.create_service_context(TEMPLATE, request).max_attempts == 3
    assert manager.create_service_context(TEMPLATE, request, max_attempts=9).max_attempts == 9
