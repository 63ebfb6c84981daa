"""Stored templates: by id and version, by whoever stored them."""

from __future__ import annotations

from typing import Any

from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import LONG_AGO, a_template
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


def test_the_version_that_was_stored_last_is_the_newest(
    repository: MongoContextRepository,
) -> None:
    """Not the one of the highest number: people go back."""
    for version in ("1.0", "2.0", "1.5"):
        wait_for_the_next_moment(repository)
        store(repository, version=version, service_template={"of": version})
    assert body_of(repository.find_template("greeting")) == {"of": "1.5"}
    assert body_of(repository.find_template("greeting", "2.0")) == {"of": "2.0"}
    assert repository.find_template("greeting", "9.9") is None
    assert repository.find_template("farewell") is None


def test_a_version_is_stored_in_place_of_itself(repository: MongoContextRepository) -> None:
    """There is one of each."""
    store(repository, service_template={"prompt": "old"})
    store(repository, service_template={"prompt": "new"})
    assert body_of(repository.find_template("greeting", "1.0")) == {"prompt": "new"}
    assert repository.database["templates"].count_documents({}) == 1


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


def test_one_of_ours_is_newer_than_one_without_a_time(repository: MongoContextRepository) -> None:
    """Another program does not say when it stored its own."""
    repository.database["templates"].insert_many(
        [{"id": "greeting", "version": "0", "service_template": {"by": "them"}},
         {"id": "greeting", "version": "1", "service_template": {}, "stored_at": LONG_AGO}]
    )  # fmt: skip
    store(repository, version="2", service_template={"by": "us"})
    assert body_of(repository.find_template("greeting")) == {"by": "us"}
