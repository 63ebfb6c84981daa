"""Settings with a Redis that a test may empty."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.duties.requests import Requests
from tests.servers import RedisServer


@pytest.fixture
def bridge_settings(quick_settings: Settings, redis_server: RedisServer) -> Settings:
    """The settings of the test, with a Redis that it may empty."""
    return quick_settings.model_copy(update={"redis_url": SecretStr(redis_server.url)})


@pytest.fixture
def requests(repository: MongoContextRepository) -> Requests:
    repository.create_indexes()
    return Requests(repository)
