"""What decides about a context beside itself, as it is asked of both servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from agent.admission.surroundings import why_of
from agent.projections.connection import connect_redis
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    found = connect_redis(settings, max_connections=2, name="test")
    yield found
    found.close()


@pytest.mark.parametrize(
    ("service_type", "told"),
    [("GENERATIVE", "no bridge leads"), ("UNHEARD_OF", "UNHEARD_OF")],
)
def test_there_is_an_answer_for_every_context(
    repository: MongoContextRepository, client: redis.Redis, service_type: str, told: str
) -> None:
    """Also for one whose service nobody has registered."""
    repository.contexts.insert_one(a_context(service_type=service_type))
    [document] = repository.list_contexts()
    assert told in why_of(repository, client, document)
