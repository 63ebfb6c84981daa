"""Stored templates: by id and version, by whoever stored them."""

from __future__ import annotations

from typing import Any

import pytest

from agent.errors import NotStorable
from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_template
from tests.waiting import wait_until


def store(repository: MongoContextRepository, **fields: Any) -> Document:
    template = a_template(**fields)
    repository.store_template(template)
    return template


def body_of(found: Document | None) -> Any:
    assert found is not None
    return found["service_template"]


def wait_for_the_next_moment(repository: MongoContextRepository) -> None:
    """Times are stored by the millisecond."""
    before = repository.now()
    wait_until(lambda: repository.now() > before)


def test_the_highest_version_is_found_when_none_is_asked_for(
    repository: MongoContextRepository,
) -> None:
    """Whichever was stored last; part by part, as numbers where they are numbers."""
    for version in ("1.9", "1.10", "1.10-beta", "1.2"):
        store(repository, version=version, service_template={"of": version})
    assert body_of(repository.find_template("greeting")) == {"of": "1.10"}
    assert body_of(repository.find_template("greeting", "1.2")) == {"of": "1.2"}
    assert repository.find_template("greeting", "9.9") is None
    assert repository.find_template("farewell") is None


def test_of_versions_that_are_alike_the_one_stored_last_is_found(
    repository: MongoContextRepository,
) -> None:
    """`v2` and `2` are the same number."""
    for version in ("2", "v2", "1"):
        store(repository, version=version, service_template={"of": version})
        wait_for_the_next_moment(repository)
    assert body_of(repository.find_template("greeting")) == {"of": "v2"}
    assert body_of(repository.find_template("greeting", "2")) == {"of": "2"}


def test_a_version_is_stored_in_place_of_itself(repository: MongoContextRepository) -> None:
    """There is one of each."""
    store(repository, service_template={"prompt": "old"})
    store(repository, service_template={"prompt": "new"})
    assert body_of(repository.find_template("greeting", "1.0")) == {"prompt": "new"}
    assert repository.database["templates"].count_documents({}) == 1


def test_nothing_is_left_of_the_template_before(repository: MongoContextRepository) -> None:
    """One of steps may take the place of one of a single service."""
    store(repository)
    repository.store_template({"id": "greeting", "version": "1.0", "steps": []})
    found = repository.find_template("greeting")
    assert found is not None
    assert {"id", "version", "steps", "_id", "stored_at"} == set(found)


def test_a_template_that_no_document_can_hold_is_refused(
    repository: MongoContextRepository,
) -> None:
    """As one of its kind, so that it costs only itself."""
    for body in ({"limit": 2**70}, {"text": "\ud800"}, {"a\0": 1}):
        with pytest.raises(NotStorable):
            store(repository, service_template=body)
    assert repository.list_templates(10) == []


def test_templates_are_listed_without_their_bodies(repository: MongoContextRepository) -> None:
    """By id, so many at most."""
    store(repository, id="b", version="2")
    store(repository, id="b", version="1")
    steps = [{"key": "s", "service_type": "ANALYSIS", "service_template": {"x": 1}}]
    repository.store_template({"id": "a", "version": "1.0", "steps": steps})
    listed = repository.list_templates(10)
    assert [(each["id"], each["version"]) for each in listed] == [
        ("a", "1.0"), ("b", "1"), ("b", "2"),
    ]  # fmt: skip
    assert listed[0]["steps"] == [{"key": "s", "service_type": "ANALYSIS"}]
    assert "service_template" not in listed[1]
    assert len(repository.list_templates(2)) == 2


def test_templates_of_other_programs_are_found_by_their_id_alone(
    repository: MongoContextRepository,
) -> None:
    """In `id`, or in `_id`; the first beats the second."""
    repository.database["templates"].insert_many(
        [
            {"_id": "greeting", "service_template": {"by": "_id"}},
            {"_id": 1, "id": "farewell", "service_template": {"by": "id"}},
            {"_id": "farewell", "service_template": {"by": "_id"}},
        ]
    )
    found = repository.find_template("greeting")
    assert found is not None
    assert (found["id"], body_of(found)) == ("greeting", {"by": "_id"})
    assert body_of(repository.find_template("farewell")) == {"by": "id"}


def test_versions_of_other_programs_may_be_numbers_or_missing(
    repository: MongoContextRepository,
) -> None:
    """A number is its digits; what does not say is 1.0. A time of storing they have not."""
    repository.database["templates"].insert_many(
        [{"id": "greeting", "version": 2, "service_template": {"by": "number"}},
         {"id": "greeting", "service_template": {"by": "nothing"}, "stored_at": "yesterday"},
         {"id": "greeting", "version": 1.5, "service_template": {"by": "float"}}]
    )  # fmt: skip
    assert body_of(repository.find_template("greeting")) == {"by": "number"}
    assert body_of(repository.find_template("greeting", "2")) == {"by": "number"}
    assert body_of(repository.find_template("greeting", "1.0")) == {"by": "nothing"}
    store(repository, version="10", service_template={"by": "us"})
    assert body_of(repository.find_template("greeting")) == {"by": "us"}
