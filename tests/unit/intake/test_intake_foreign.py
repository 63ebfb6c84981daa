"""Documents of other programs, in the shapes that they are known to have."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Int64, ObjectId

from agent.errors import ContextUnreadable, StoreUnavailable, TemplateNotFound
from agent.intake.foreign import ABSENT, Adoption, read_foreign, what_was_read
from agent.models import Context
from agent.services import ServiceRegistry

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
TEMPLATE = {"id": "welcome", "service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}}
STORED = {
    "_id": ObjectId(),
    "id": "welcome",
    "version": "2.1",
    "service_type": "generative",
    "generative_template": {"prompt": "Hello {{name}}"},
    "author": "Ann",
}


def a_document(**fields: Any) -> dict[str, Any]:
    """A pending document as another program inserts it; `ABSENT` leaves a field out."""
    document = {
        "_id": ObjectId(),
        "status": "pending",
        "request": {"id": "r-1", "data": {"name": "Ann"}},
        "template": TEMPLATE,
        **fields,
    }
    return {name: value for name, value in document.items() if value is not ABSENT}


def read(document: Mapping[str, Any], *stored: Mapping[str, Any]) -> Adoption:
    """Read one document beside the stored templates given."""
    by_id = {str(template["id"]): template for template in stored}
    return read_foreign(
        document,
        registry=ServiceRegistry(),
        find_template=by_id.get,
        now=NOW,
        max_attempts=lambda service: 7 if service.name == "ANALYSIS" else 20,
    )


def after(document: Mapping[str, Any], *stored: Mapping[str, Any]) -> dict[str, Any]:
    """The document once it is adopted; it has to be a context."""
    result = {**document, **read(document, *stored).changes}
    Context.model_validate(result)
    return result


def reason(document: Mapping[str, Any], *stored: Mapping[str, Any]) -> str:
    """Why it is unreadable."""
    with pytest.raises(ContextUnreadable) as caught:
        read(document, *stored)
    return str(caught.value)


def test_what_is_missing_is_filled_in() -> None:
    """The smallest readable document becomes a context that may run at once."""
    expected = {
        "schema": 1,
        "kind": "context",
        "service_type": "GENERATIVE",
        "wait_reason": None,
        "priority": 5,
        "template": {**TEMPLATE, "version": "1.0"},
        "tags": {},
        "metadata": {},
        "source": "foreign",
        "created_at": NOW,
        "updated_at": NOW,
        "available_at": NOW,
        "fence": 0,
        "attempt": 0,
        "failures": 0,
        "max_attempts": 20,
        "crashes": 0,
        "snoozes": 0,
        "generation": 0,
        "key_generation": 0,
        "attempts": [],
    }
    assert expected == read(a_document()).changes
    assert read(a_document()).originals == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"service_type": "Analysis"},
        {"service_type": "analysis", "tags": ["generative"]},
        {"template": {**TEMPLATE, "service_type": "analysis"}},
        {"tags": {"service": "ANALYSIS"}},
        {"tags": ["user:42", 7, "analysis", "Analysis"]},
    ],
)
def test_the_service_type_is_found_in_any_of_its_places(fields: dict[str, Any]) -> None:
    """The first place that names one decides, in any case of letters."""
    if "template" not in fields and "service_type" not in fields:
        fields = {**fields, "template": {"id": "t", "service_template": {}}}
    adopted = after(a_document(**fields))
    assert (
        adopted["service_type"],
        adopted["template"]["service_type"],
    ) == ("ANALYSIS", "ANALYSIS")
    assert adopted["max_attempts"] == 7


def test_a_stored_template_names_the_service_when_nothing_else_does() -> None:
    """A document with a template id alone is readable, if the template is stored."""
    adopted = after(a_document(template=ABSENT, template_id="welcome"), STORED)
    assert adopted["service_type"] == "GENERATIVE"
    assert adopted["template"] == {
        "id": "welcome",
        "version": "2.1",
        "service_type": "GENERATIVE",
        "service_template": {"prompt": "Hello {{name}}"},
        "author": "Ann",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"service_type": "poetry", "tags": {"service": "analysis"}},
            "`service_type` is 'poetry'; known service types are GENERATIVE, ANALYSIS, COMMUNIC",
        ),
        ({"service_type": {"$gt": ""}}, "`service_type` is an object; known"),
        ({"template": {**TEMPLATE, "service_type": "x"}}, "`template.service_type` is 'x'; known"),
        ({"template": {"id": 1}, "tags": {"service": 4}}, "`tags.service` is a number; known"),
        (
            {"template": {"id": 1}, "tags": ["analysis", "generative"]},
            "several service types, ANALYSIS and GENERATIVE",
        ),
        ({"template": {"id": 1}}, "no service type stands in"),
        ({"template": ABSENT}, "there is no template"),
        ({"template": None, "template_id": ""}, "there is no template"),
        ({"template": {}, "template_id": "gone"}, "no template 'gone' is stored"),
        ({"template": ["welcome"]}, "`template` is a list"),
        ({"template": {**TEMPLATE, "id": []}}, "`template.id` is a list"),
        ({"template": {"service_type": "analysis"}}, "neither an `id` nor a `service_template`"),
        ({"template": {**TEMPLATE, "service_template": "Hi"}}, "`service_template` of the templat"),
        ({"request": ABSENT}, "`request` is missing"),
        ({"request": [1]}, "`request` is a list, not an object"),
        ({"request": {"data": [1, 2]}}, "`request.data` is a list, not an object"),
        ({"request": {"text": {}}}, "`request.text` is an object, not a string"),
        ({"request": {"user_id": True}}, "`request.user_id` is a boolean, not a string"),
    ],
)
def test_an_unreadable_document_says_why(fields: dict[str, Any], expected: str) -> None:
    """The reason names the field, what it is and what would do."""
    assert expected in reason(a_document(**fields))


def test_a_reason_tells_nothing_of_a_long_value() -> None:
    """A word in a reason is cut short."""
    assert len(reason(a_document(service_type="x" * 10_000))) < 200


def test_a_stored_template_with_steps_is_refused() -> None:
    """A campaign of steps is no single context."""
    stored = {"id": "welcome", "steps": []}
    assert "lists steps, and a context has one service" in reason(
        a_document(template={"id": "welcome"}, service_type="ANALYSIS"), stored
    )


@pytest.mark.parametrize("name", ["generative", "analysis", "communication"])
def test_a_body_of_the_old_system_is_the_service_template(name: str) -> None:
    """The body is copied to where the contract has it; the old field stays."""
    template = {"id": "t", "service_type": name, f"{name}_template": {"a": 1}}
    assert after(a_document(template=template))["template"] == {
        **template,
        "version": "1.0",
        "service_type": name.upper(),
        "service_template": {"a": 1},
    }


def test_a_template_without_a_body_takes_the_stored_one_of_its_id() -> None:
    """The body and the version come from the stored template, the rest stays."""
    template = {"id": "welcome", "service_type": "GENERATIVE", "mine": 1}
    adopted = after(a_document(template=template), STORED)["template"]
    assert {**template, "version": "2.1", "service_template": STORED["generative_template"]} == (
        adopted
    )
    assert after(a_document(template=template))["template"]["service_template"] == {}


def test_the_stored_template_is_asked_for_only_where_it_is_needed() -> None:
    """A document that brings its template costs no look at the collection."""

    def find(_: str) -> None:
        raise AssertionError

    read_foreign(
        a_document(),
        registry=ServiceRegistry(),
        find_template=find,
        now=NOW,
        max_attempts=lambda _: 20,
    )


@pytest.mark.parametrize(
    ("error", "raised"),
    [(TemplateNotFound("none"), ContextUnreadable), (StoreUnavailable("away"), StoreUnavailable)],
)
def test_a_store_that_is_away_makes_no_document_unreadable(
    error: Exception, raised: type[Exception]
) -> None:
    """What is wrong with a template is a reason; an outage is not."""

    def find(_: str) -> None:
        raise error

    with pytest.raises(raised):
        read_foreign(
            a_document(template=ABSENT, template_id="x"),
            registry=ServiceRegistry(),
            find_template=find,
            now=NOW,
            max_attempts=lambda _: 20,
        )


@pytest.mark.parametrize(("given", "expected"), [(42, "42"), (Int64(42), "42"), (42.0, "42")])
def test_a_template_id_that_is_a_number_becomes_a_string(given: Any, expected: str) -> None:
    """And the number is kept."""
    document = a_document(template={**TEMPLATE, "id": given, "version": 2})
    adoption = read(document)
    assert expected == adoption.changes["template"]["id"]
    assert adoption.changes["template"]["version"] == "2"
    assert {"template": {"id": given, "version": 2}} == adoption.originals


@pytest.mark.parametrize("place", ["request", "data", "metadata"])
def test_urgent_means_priority_1(place: str) -> None:
    """Wherever it stands; what the priority was is kept."""
    request = {"urgent": True} if place == "request" else {place: {"urgent": True}}
    adoption = read(a_document(request=request, priority=5))
    assert (adoption.changes["priority"], adoption.originals["priority"]) == (1, 5)
    assert "priority" not in read(a_document(request={"urgent": "no"}, priority=5)).changes


@pytest.mark.parametrize("given", ["high", True, 0, 11, float("nan"), None, [1]])
def test_a_priority_that_is_none_becomes_the_default(given: Any) -> None:
    """And what was given is kept."""
    adoption = read(a_document(priority=given))
    assert adoption.changes["priority"] == 5
    assert adoption.originals["priority"] is given


def test_a_request_keeps_its_fields_and_gets_an_id() -> None:
    """Only what is missing or of a wrong type changes."""
    request = {"user_id": 42, "data": None, "metadata": "x", "extra": [1]}
    adoption = read(a_document(request=request))
    changed = adoption.changes["request"]
    assert changed["id"].startswith("req_")
    assert {**changed, "id": ""} == {
        "id": "",
        "user_id": "42",
        "data": {},
        "metadata": {},
        "extra": [1],
    }
    assert adoption.originals["request"] == {"user_id": 42, "data": None, "metadata": "x"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2025-02-01T10:00:00", datetime(2025, 2, 1, 10, tzinfo=UTC)),
        ("2025-02-01T10:00:00Z", datetime(2025, 2, 1, 10, tzinfo=UTC)),
        ("2025-02-01T10:00:00.250+02:00", datetime(2025, 2, 1, 8, 0, 0, 250000, UTC)),
        ("yesterday", NOW),
        ("0001-01-01T00:00:00+05:00", NOW),
        (1738404000, NOW),
    ],
)
def test_created_at_is_read_as_utc(given: Any, expected: datetime) -> None:
    """A string becomes a date, and what cannot be read becomes now; it runs from then on."""
    adoption = read(a_document(created_at=given))
    assert expected == adoption.changes["created_at"]
    assert expected == adoption.changes["available_at"]
    assert given == adoption.originals["created_at"]


def test_a_created_at_that_is_a_date_stays_and_one_ahead_holds_nothing_back() -> None:
    """It may run since it was made, at the latest since now."""
    ahead = NOW + timedelta(days=1)
    adoption = read(a_document(created_at=ahead))
    assert "created_at" not in adoption.changes
    assert adoption.changes["available_at"] == NOW


@pytest.mark.parametrize(
    ("given", "expected"),
    [("2025-04-01", datetime(2025, 4, 1, tzinfo=UTC)), ("soon", None), (5, None)],
)
def test_a_deadline_that_cannot_be_read_is_none(given: Any, expected: datetime | None) -> None:
    """A string becomes a date."""
    adoption = read(a_document(deadline_at=given))
    assert expected == adoption.changes["deadline_at"]
    assert given == adoption.originals["deadline_at"]


def test_a_lease_a_remote_and_attempts_of_another_program_do_not_stand() -> None:
    """No foreign address is asked with our key; what was there is kept."""
    foreign = {
        "lease": {"owner": "x", "claim_id": "c", "expires_at": NOW},
        "remote": {"status_url": "http://elsewhere/", "accepted_at": NOW},
        "attempts": 3,
        "attempt": "2",
        "failures": 20,
        "max_attempts": 0,
        "kind": "parent",
        "error": "boom",
        "expire_at": "2025-01-01",
    }
    adoption = read(a_document(**foreign))
    assert foreign == adoption.originals
    changes = adoption.changes
    assert tuple(changes[name] for name in ("lease", "remote", "attempts", "attempt")) == (
        None,
        None,
        [],
        0,
    )
    assert tuple(changes[name] for name in ("failures", "max_attempts", "kind", "error")) == (
        0,
        20,
        "context",
        None,
    )
    assert datetime(2025, 1, 1, tzinfo=UTC) == changes["expire_at"]


def test_an_adopted_field_of_their_own_is_not_lost() -> None:
    """It moves to where the originals are kept, and only if there are any."""
    adoption = read(a_document(adopted="theirs", priority="high"))
    assert adoption.originals == {"priority": "high", "adopted": "theirs"}
    assert adoption.read["adopted"] == "theirs"
    assert read(a_document(adopted="theirs")).originals == {}


def test_what_was_read_tells_absent_from_null() -> None:
    """The write can then demand that nothing changed meanwhile."""
    document = a_document(priority=None)
    read_fields = read(document).read
    assert read_fields["priority"] is None
    assert read_fields["fence"] is ABSENT
    assert read_fields["template"] is document["template"]
    assert what_was_read(document)["created_at"] is ABSENT
