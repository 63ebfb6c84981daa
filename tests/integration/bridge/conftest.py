"""A stage with a Redis of its own, that may be emptied."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.bridge.stage import Stage
from tests.servers import RedisServer


@pytest.fixture
def bridge_settings(quick_settings: Settings, redis_server: RedisServer) -> Settings:
    """The settings of the test, with a Redis that it may empty."""
    return quick_settings.model_copy(update={"redis_url": SecretStr(redis_server.url)})


@pytest.fixture
def stage(bridge_settings: Settings, repository: MongoContextRepository) -> Iterator[Stage]:
    stage = Stage(bridge_settings, repository)
    yield stage
    stage.close()
