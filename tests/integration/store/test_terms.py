"""Other terms for what waits: priority, time and deadline, of one context and of a request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agent.errors import ContextNotFound, IllegalTransition, RequestInvalid
from agent.models import FINAL, Document, Status
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import LONG_AGO, a_context, foreign

HOUR = timedelta(hours=1)

Ask = Callable[[MongoContextRepository, Any], Document]

ASKS: dict[str, Ask] = {
    "prioritise": lambda r, which: r.prioritise(which, 1),
    "set_deadline": lambda r, which: r.set_deadline(which, r.now() + HOUR),
    "postpone": lambda r, which: r.postpone(which, r.now() + HOUR),
}
OF_WHAT_IS_OPEN = ("prioritise", "set_deadline")


def insert(repository: MongoContextRepository, **fields: Any) -> Document:
    document = a_context(**{"_id": "ctx_1", **fields})
    repository.contexts.insert_one(document)
    return document


def insert_family(repository: MongoContextRepository, service_type: str = "REQUEST") -> None:
    """A request with a step in each status."""
    insert(repository, _id="family", kind="parent", service_type=service_type, status="processing")
    for status in Status:
        insert(repository, _id=f"family_{status}", parent_id="family", status=status)


def changed(repository: MongoContextRepository, field: str, value: Any) -> set[str]:
    """The steps that have it now."""
    found = repository.contexts.find({"parent_id": "family", field: value})
    return {str(document["status"]) for document in found}


@pytest.mark.parametrize("name", ASKS)
def test_one_that_is_not_there_is_told(repository: MongoContextRepository, name: str) -> None:
    """By its id."""
    with pytest.raises(ContextNotFound, match="ctx_0"):
        ASKS[name](repository, "ctx_0")


@pytest.mark.parametrize("name", OF_WHAT_IS_OPEN)
@pytest.mark.parametrize("status", Status)
def test_what_is_final_keeps_its_terms(
    repository: MongoContextRepository, name: str, status: Status
) -> None:
    """Whatever else is given others, and stays where it is."""
    before = insert(repository, status=status)
    if status in FINAL:
        with pytest.raises(IllegalTransition, match=str(status)):
            ASKS[name](repository, "ctx_1")
        assert repository.find_context("ctx_1") == before
        return
    after = ASKS[name](repository, "ctx_1")
    terms = {"updated_at", "priority" if name == "prioritise" else "deadline_at"}
    assert {field for field in after if after[field] != before[field]} == terms


@pytest.mark.parametrize("name", ASKS)
@pytest.mark.parametrize("status", ["exotic", 7, None, ["exotic"], {"is": "pending"}])
def test_a_status_that_there_is_not_is_no_error(
    repository: MongoContextRepository, name: str, status: Any
) -> None:
    """Another program may have written it."""
    repository.contexts.insert_one(foreign(_id="odd", status=status))
    with pytest.raises(IllegalTransition):
        ASKS[name](repository, "odd")


@pytest.mark.parametrize("name", OF_WHAT_IS_OPEN)
def test_all_steps_of_a_request_that_are_not_final_are_meant(
    repository: MongoContextRepository, name: str
) -> None:
    """And the request itself says so."""
    insert_family(repository)
    field = "priority" if name == "prioritise" else "deadline_at"
    value = ASKS[name](repository, "family")[field]
    assert value != a_context()[field]
    assert changed(repository, field, value) == set(Status) - FINAL


def test_all_scheduled_steps_of_a_request_are_postponed(
    repository: MongoContextRepository,
) -> None:
    """The others wait for them; without any there is nothing to postpone."""
    insert_family(repository)
    ahead = repository.now() + HOUR
    repository.postpone("family", ahead)
    assert changed(repository, "available_at", ahead) == {"scheduled"}
    repository.contexts.delete_one({"_id": "family_scheduled"})
    with pytest.raises(IllegalTransition, match="not scheduled"):
        repository.postpone("family", ahead)


@pytest.mark.parametrize("name", ASKS)
def test_a_batch_has_too_many(repository: MongoContextRepository, name: str) -> None:
    """It says what to do instead, and nothing is changed."""
    insert_family(repository, service_type="BATCH")
    before = list(repository.contexts.find())
    with pytest.raises(IllegalTransition, match="one by one"):
        ASKS[name](repository, "family")
    assert list(repository.contexts.find()) == before


def test_a_time_lies_ahead(repository: MongoContextRepository) -> None:
    """For what is to begin at once, or never, there are other words."""
    before = insert(repository, status="scheduled")
    with pytest.raises(RequestInvalid, match="run now"):
        repository.postpone("ctx_1", LONG_AGO)
    with pytest.raises(RequestInvalid, match="cancel"):
        repository.set_deadline("ctx_1", LONG_AGO)
    assert repository.find_context("ctx_1") == before


def test_nothing_is_postponed_behind_its_deadline(repository: MongoContextRepository) -> None:
    """Unless that is moved first, or taken away."""
    deadline = repository.now() + HOUR
    insert(repository, status="scheduled", deadline_at=deadline)
    for later in (deadline, deadline + HOUR):
        with pytest.raises(RequestInvalid, match="deadline"):
            repository.postpone("ctx_1", later)
    repository.set_deadline("ctx_1", deadline + 2 * HOUR)
    assert repository.postpone("ctx_1", deadline + HOUR)["available_at"] == deadline + HOUR
    repository.set_deadline("ctx_1", None)
    postponed = repository.postpone("ctx_1", deadline + 9 * HOUR)
    assert (postponed["status"], postponed["deadline_at"]) == ("scheduled", None)
    assert repository.promote() == 0
