"""From what a request names to the template that it is carried out by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.errors import PurposeNotFound, PurposeUnclear, RequestInvalid, TemplateNotFound
from agent.intake.context_manager import ContextManager
from agent.intake.request_service import RequestService, read_request
from agent.intake.templates import TemplateSource
from agent.models import Document, RequestData, Step
from agent.services import ServiceRegistry
from agent.settings import Settings

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
REGISTRY = ServiceRegistry()
PARAMETERS = [
    {"name": "size", "type": "integer", "default": 3},
    {"name": "name", "type": "string", "required": True},
]
STEP = {"key": "one", "service_type": "ANALYSIS", "service_template": {"x": 1}}
TEMPLATES: list[dict[str, Any]] = [
    {"id": "t", "version": "2", "service_type": "ANALYSIS", "service_template": {"a": 1},
     "parameters": PARAMETERS},
    {"id": "single", "steps": [{**STEP, "priority": 7, "max_attempts": 2}]},
    {"id": "both", "steps": [{**STEP, "priority": 7}, {**STEP, "key": "two", "after": ["one"]}]},
]  # fmt: skip
PURPOSES: dict[str, Document] = {
    "measure": {"template_id": "t", "keywords": ["measure", "how large"],
                "defaults": {"priority": 2, "tags": {"team": "north"}, "max_attempts": 4,
                             "data": {"name": "Ann", "kind": "x"}, "metadata": {"m": 1}}},
    "weigh": {"template_id": "single", "keywords": ["how"]},
    "later": {"template_id": "gone", "keywords": ["later"]},
    "broken": {"template_id": [], "keywords": ["broken"]},
    "again": {"template_id": "single", "version": "9"},
}  # fmt: skip


class Collections:
    """Both collections, as lists; and every insert."""

    def __init__(self) -> None:
        self.inserted: list[Document] = []

    def find_template(self, template_id: str, version: str | None) -> Mapping[str, Any] | None:
        found = (
            each
            for each in TEMPLATES
            if each["id"] == template_id and version in (None, each.get("version", "1.0"))
        )
        return next(found, None)

    def find_purpose(self, purpose_id: str) -> Mapping[str, Any] | None:
        return PURPOSES.get(purpose_id)

    def list_purposes(self) -> list[Mapping[str, Any]]:
        return [{"_id": name, **purpose} for name, purpose in PURPOSES.items()]

    def insert_contexts(self, documents: list[Document]) -> None:
        self.inserted += documents


class Requested(ContextManager):
    """Notes what is asked of it for requests of several steps."""

    steps: tuple[Step, ...] = ()
    request: RequestData
    options: dict[str, Any]

    def create_request(self, steps: Any, request: RequestData, **options: Any) -> Any:
        self.steps, self.request, self.options = tuple(steps), request, options

        class Parent:
            id = "parent"

        return Parent()


def submit(**fields: Any) -> tuple[str, Collections, Requested]:
    """Submit one request."""
    collections = Collections()
    manager = Requested(collections, lambda: NOW, REGISTRY, Settings())
    templates = TemplateSource(collections, registry=REGISTRY)
    service = RequestService(manager, templates, REGISTRY, collections)
    return service.submit(read_request(fields)), collections, manager


def submitted(**fields: Any) -> Document:
    """The context that a request becomes."""
    context_id, collections, _ = submit(**fields)
    [document] = collections.inserted
    assert document["_id"] == context_id
    return document


def refused(**fields: Any) -> RequestInvalid:
    with pytest.raises(RequestInvalid) as caught:
        submit(**fields)
    return caught.value


def test_a_purpose_is_chosen_by_its_id() -> None:
    """And the context says so."""
    document = submitted(purpose_id="measure")
    assert document["template"]["id"] == "t"
    assert document["request"]["purpose_id"] == "measure"
    assert document["request"]["selection"] == {
        "purpose_id": "measure",
        "template_id": "t",
        "version": "2",
        "by": "purpose_id",
        "score": None,
        "runner_up": None,
    }


def test_a_purpose_is_chosen_by_the_keywords_in_the_text() -> None:
    """With its score and the next best; the request keeps what it said."""
    document = submitted(text="How large is it?")
    assert document["request"]["selection"] == {
        "purpose_id": "measure",
        "template_id": "t",
        "version": "2",
        "by": "keywords",
        "score": 2,
        "runner_up": {"purpose_id": "weigh", "score": 1},
    }
    assert document["request"]["purpose_id"] is None


def test_a_text_beside_a_template_chooses_nothing() -> None:
    """It is what the request says, no more."""
    selection = submitted(template_id="single", text="how large")["request"]["selection"]
    assert (selection["by"], selection["purpose_id"]) == ("template_id", None)


def test_the_defaults_of_a_purpose_fill_what_the_request_does_not_say() -> None:
    """Those of the template's parameters come after them."""
    document = submitted(purpose_id="measure")
    assert (document["priority"], document["max_attempts"]) == (2, 4)
    assert document["tags"] == {"team": "north"}
    assert document["request"]["data"] == {"name": "Ann", "kind": "x", "size": 3}
    assert document["request"]["metadata"] == {"m": 1}


def test_the_requests_own_word_wins() -> None:
    """Field by field in objects; a list of tags as a whole."""
    document = submitted(
        purpose_id="measure", priority=5, max_attempts=9, tags={"x": "y"},
        data={"name": "Bo", "size": 8}, metadata={"m": 2},
    )  # fmt: skip
    assert (document["priority"], document["max_attempts"]) == (5, 9)
    assert document["tags"] == {"team": "north", "x": "y"}
    assert document["request"]["data"] == {"name": "Bo", "kind": "x", "size": 8}
    assert document["request"]["metadata"] == {"m": 2}
    assert submitted(purpose_id="measure", tags=["x"])["tags"] == ["x"]


def test_parameters_are_checked() -> None:
    """With everything else that is wrong."""
    error = refused(template_id="t", data={"size": "big"}, available_at=NOW, deadline_at=NOW)
    assert str(error) == (
        "`deadline_at` is not after `available_at`; `data.size` is a string, not a whole number; "
        "`data.name` is missing, a string"
    )


@pytest.mark.parametrize(
    ("fields", "kind", "expected"),
    [
        ({"purpose_id": "nope"}, PurposeNotFound, "no purpose 'nope' is stored; there are mea"),
        ({"purpose_id": "later"}, TemplateNotFound, "'later': no template 'gone' is stored"),
        ({"purpose_id": "again"}, TemplateNotFound, "template 'single' has no version '9'"),
        ({"purpose_id": "broken"}, RequestInvalid, "purpose 'broken': `template_id` is missing"),
        ({"text": "broken"}, PurposeUnclear, "there are measure, weigh, later, again"),
        ({"text": "measure, but later"}, PurposeUnclear, "alike, with score 1: later, measure"),
        ({}, RequestInvalid, "or a `purpose_id`, or a `text` with keywords of a purpose"),
        ({"purpose_id": "weigh", "template_id": "t"}, RequestInvalid, "give one of them, not both"),
        ({"template_id": "t", "template_version": "1"}, TemplateNotFound, "has no version '1'"),
        ({"text": "how", "template_version": "1"}, RequestInvalid, "there is no `template_id`"),
    ],
)  # fmt: skip
def test_a_request_that_chooses_no_template_says_why(
    fields: dict[str, Any], kind: type[Exception], expected: str
) -> None:
    """And lists what could be chosen."""
    error = refused(**fields)
    assert isinstance(error, kind)
    assert expected in str(error)


def test_a_version_can_be_asked_for() -> None:
    """Older ones are kept for it."""
    document = submitted(template_id="t", template_version="2", data={"name": "Ann"})
    assert document["template"]["version"] == "2"


def test_a_template_of_one_step_is_one_context() -> None:
    """No parent is needed for it; what the step says of itself stands."""
    document = submitted(template_id="single", priority=4)
    assert (document["kind"], document["service_type"]) == ("context", "ANALYSIS")
    assert (document["priority"], document["max_attempts"]) == (7, 2)
    assert submitted(template_id="single", data={"urgent": True})["priority"] == 1


def test_a_template_of_steps_is_a_request_of_steps() -> None:
    """The context manager gets them with all that the request says; the id is the parent's."""
    context_id, collections, manager = submit(
        template_id="both", user_id="u1", priority=4, tags=["x"], max_attempts=3
    )
    assert (context_id, collections.inserted) == ("parent", [])
    assert [(step.key, step.priority) for step in manager.steps] == [("one", 7), ("two", None)]
    assert manager.request.user_id == "u1"
    assert manager.request.model_extra is not None
    assert manager.request.model_extra["selection"]["template_id"] == "both"
    expected = {"template_id": "both", "template_version": "1.0", "priority": 4, "tags": ["x"],
                "max_attempts": 3, "source": "api"}  # fmt: skip
    assert expected == {name: manager.options[name] for name in expected}


def test_an_urgent_request_has_priority_1_in_all_its_steps() -> None:
    """Whatever they say."""
    _, _, manager = submit(template_id="both", metadata={"urgent": True})
    assert manager.options["priority"] == 1
    assert [step.priority for step in manager.steps] == [None, None]


def test_steps_may_come_with_the_request() -> None:
    """As a template may."""
    steps = [STEP, {**STEP, "key": "two", "service_template": {"y": "{{ inputs.nope }}"}}]
    assert "step 'two': {{ inputs.nope }} is of no step" in str(refused(template={"steps": steps}))
    steps[1] = {**STEP, "key": "two"}
    _, _, manager = submit(template={"id": "mine", "steps": steps})
    assert [step.template.id for step in manager.steps] == ["mine", "mine"]
