"""What tests on real servers share: a repository of the test's own, and a Redis that a test may
flush, misconfigure and stop: never the one that `REDIS_URL` names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.settings import Settings
from agent.store import connection
from agent.store.mongo_context_repository import MongoContextRepository
from tests.faults.proxy import Proxy
from tests.servers import RedisServer, running_redis


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Started once; tests ask for `redis_server`."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """A Redis with nothing in it, for this test alone. Whoever configures it sets it back."""
    shared_redis.flush()
    return shared_redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may stop and start."""
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def quick_settings(settings: Settings) -> Settings:
    """The settings of the test, in a hurry."""
    return settings.model_copy(update={"lease_seconds": 3.0, "poll_interval": 0.05})


@pytest.fixture
def repository(quick_settings: Settings) -> Iterator[MongoContextRepository]:
    """A repository of the test's own database, without indexes."""
    repository = MongoContextRepository.connect(quick_settings)
    yield repository
    repository.close()


@pytest.fixture
def network(mongodb_uri: str) -> Iterator[Proxy]:
    """A way to MongoDB that a test cuts, and where answers get lost."""
    with Proxy.before(mongodb_uri) as proxy:
        yield proxy


@pytest.fixture
def distant(
    network: Proxy, mongodb_uri: str, quick_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MongoContextRepository]:
    """A repository at the other end of that network, which does not wait long for it."""
    monkeypatch.setattr(connection, "SERVER_SELECTION_MS", 1000)
    uri = SecretStr(network.through(mongodb_uri))
    repository = MongoContextRepository.connect(
        quick_settings.model_copy(update={"mongodb_uri": uri})
    )
    repository.now()
    yield repository
    repository.close()
