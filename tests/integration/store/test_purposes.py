"""Stored purposes."""

from __future__ import annotations

import pytest

from agent.errors import NotStorable
from agent.store.mongo_context_repository import MongoContextRepository


def test_a_purpose_is_stored_in_place_of_itself(repository: MongoContextRepository) -> None:
    """Nothing of the one before is left."""
    repository.store_purpose("greet", {"template_id": "a", "keywords": ["x"]})
    repository.store_purpose("greet", {"template_id": "b", "a.b": 1})
    found = repository.find_purpose("greet")
    assert found is not None
    assert found.pop("stored_at") <= repository.now()
    assert found == {"_id": "greet", "template_id": "b", "a.b": 1}
    assert repository.find_purpose("other") is None


def test_purposes_are_listed_by_their_ids(repository: MongoContextRepository) -> None:
    """All of them."""
    assert repository.list_purposes() == []
    for name in ("b", "c", "a"):
        repository.store_purpose(name, {"template_id": "t"})
    assert [each["_id"] for each in repository.list_purposes()] == ["a", "b", "c"]


def test_a_purpose_that_no_document_can_hold_is_refused(
    repository: MongoContextRepository,
) -> None:
    """As one of its kind, so that it costs only itself."""
    with pytest.raises(NotStorable):
        repository.store_purpose("greet", {"template_id": "t", "limit": 2**70})
    assert repository.list_purposes() == []
