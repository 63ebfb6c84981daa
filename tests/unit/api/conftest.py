"""The web application over a repository that does as told and a Redis in memory."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import fakeredis
import pytest
import redis

from agent.api.app import create_app
from agent.errors import StoreUnavailable
from agent.settings import Settings

with warnings.catch_warnings():
    # starlette would rather have its client on httpx2; ours is httpx, and it works with it
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@dataclass
class Repository:
    """Tells what it is given to tell, counts how often it is asked, and can be away."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    oldest: dict[str, datetime] = field(default_factory=dict)
    leading: dict[str, Any] | None = None
    away: bool = False
    asked: int = 0

    def ping(self) -> None:
        self._ask()

    def count_by_status(self) -> dict[str, dict[str, int]]:
        self._ask()
        return self.counts

    def oldest_pending(self) -> dict[str, datetime]:
        self._ask()
        return self.oldest

    def leader(self) -> dict[str, Any] | None:
        self._ask()
        return self.leading

    def now(self) -> datetime:
        return datetime.now(UTC)

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("no answer from mongodb://user:hush@h:1")


@pytest.fixture
def repository() -> Repository:
    return Repository()


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with fakeredis.FakeRedis(decode_responses=True) as fake:
        yield fake


@pytest.fixture
def away() -> redis.Redis:
    """A Redis that does not answer."""
    return redis.Redis(host="127.0.0.1", port=1, retry=None)  # type: ignore[arg-type]


@pytest.fixture
def browse(repository: Repository, client: redis.Redis) -> Callable[..., TestClient]:
    def start(of: redis.Redis = client) -> TestClient:
        return TestClient(create_app(Settings(), repository=repository, client=of))

    return start
