"""The API in this process, over a real MongoDB and Redis: what asks it holds one of its keys."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis
from pydantic import SecretStr

from agent.api.app import create_app
from agent.projections.connection import connect_redis
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.web import KEYS, secret_of

with warnings.catch_warnings():
    # starlette would rather have its client on httpx2; ours is httpx, and it works with it
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """The test's Redis."""
    with connect_redis(settings, max_connections=8) as client:
        yield client


@pytest.fixture
def asking(
    settings: Settings, repository: MongoContextRepository, client: redis.Redis
) -> Iterator[Callable[[str], TestClient]]:
    """Whoever holds the key of this name."""
    words = " ".join(f"{name}:{scopes}:secret-of-{name}" for name, scopes in KEYS.items())
    keyed = settings.model_copy(update={"api_keys": SecretStr(words), "api_rate_limit": 10_000.0})
    app = create_app(keyed, repository=repository, client=client)
    with ExitStack() as stack:
        running = stack.enter_context(TestClient(app))

        def holder(name: str = "boss") -> TestClient:
            client = TestClient(app, headers=secret_of(name))
            client.portal = running.portal  # one event loop, as in `web`
            return client

        yield holder


@pytest.fixture
def boss(asking: Callable[[str], TestClient]) -> TestClient:
    """A key that may do everything."""
    return asking("boss")
