"""Lines of real processes for the tests that kill, stop and cut them off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.line import Line, LineFactory
from tests.servers import RedisServer, running_redis

LEASE_SECONDS = 3
"""The shortest there is, so that what a dead process held comes back soon."""
TIMEOUTS = {f"{name}_BASE_TIMEOUT": "20" for name in ("GENERATION", "ANALYSIS", "COMMUNICATION")}


@pytest.fixture(scope="session")
def new_line(
    mongodb_uri: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> LineFactory:
    """Makes lines; each is a context manager, with its services started."""

    def make(
        *,
        mongodb: str = mongodb_uri,
        redis: str = redis_url,
        lease: int = LEASE_SECONDS,
        api_key: str | None = None,
        **environment: str,
    ) -> Line:
        settings = {"AGENT_LEASE": str(lease), **TIMEOUTS, **environment}
        return Line(tmp_path_factory.mktemp("line"), mongodb, redis, settings, api_key)

    return make


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that the tests of one file may empty and cut off."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def no_workers(line: Line) -> Iterator[None]:
    """Each test begins without any, on the line of its file."""
    yield
    line.stop_workers()
