"""A network between the repository and MongoDB that loses answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from agent.settings import Settings
from agent.store import connection
from agent.store.mongo_context_repository import MongoContextRepository
from tests.faults.proxy import Proxy


@pytest.fixture
def network(mongodb_uri: str) -> Iterator[Proxy]:
    """The way to MongoDB."""
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
