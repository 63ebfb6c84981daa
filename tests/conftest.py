"""What every kind of test shares: servers, and a place of its own in them for each test.

The servers are those that `MONGODB_URI` and `REDIS_URL` name, else embedded ones, started once for
each process that runs tests and stopped by the one that started them. A server that is missing or
does not answer is an error, never a reason to skip.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.database import Database

from agent.models import Document
from agent.settings import Settings
from agent.store.connection import connect, database_of
from tests.recovery import pytest_terminal_summary, recovery
from tests.servers import running_mongodb, running_redis

__all__ = ["pytest_terminal_summary", "recovery"]

ROOT = Path(__file__).parents[1]

OURS = re.compile(
    r"MONGODB_URI|MONGO_URL|MONGODB_DATABASE|REDIS_URL|REDIS_TLS_URL|REDIS_TLS_VERIFY|PORT"
    r"|AGENT_(?!EMBEDDED_)\w+|(GENERATION|ANALYSIS|COMMUNICATION)_BASE_\w+"
)
"""The variables that settings are read from; which embedded server is used is for the machine to
say."""


@pytest.fixture(scope="session", autouse=True)
def given_environment() -> Iterator[Mapping[str, str]]:
    """What the environment said about us; from here on it says nothing, so no `.env` is read."""
    given = {name: value for name, value in os.environ.items() if OURS.fullmatch(name) and value}
    with pytest.MonkeyPatch.context() as patch:
        for name in given:
            patch.delenv(name)
        yield given


@pytest.fixture(scope="session")
def mongodb_uri(
    given_environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A MongoDB that answers. It need not be durable: what kills a server starts its own."""
    if uri := given_environment.get("MONGODB_URI"):
        with MongoClient[Document](uri, serverSelectionTimeoutMS=5000) as client:
            client.admin.command("ping")
        yield uri
        return
    with running_mongodb(tmp_path_factory.mktemp("mongodb")) as server:
        yield server.url


@pytest.fixture(scope="session")
def redis_url(
    given_environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A Redis that answers. It may be anybody's: a test keeps to its namespace."""
    if url := given_environment.get("REDIS_URL"):
        with redis.Redis.from_url(url, socket_connect_timeout=5) as client:
            client.ping()
        yield url
        return
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def mongodb_client(mongodb_uri: str) -> Iterator[MongoClient[Document]]:
    """A client as durable as ours, for looking into the database of a test."""
    with connect(Settings(mongodb_uri=SecretStr(mongodb_uri))) as client:
        yield client


@pytest.fixture
def database_name(mongodb_client: MongoClient[Document]) -> Iterator[str]:
    """A database that no other test uses; it is dropped afterwards."""
    name = f"test_{uuid4().hex[:16]}"
    yield name
    mongodb_client.drop_database(name)


@pytest.fixture
def namespace(redis_url: str) -> Iterator[str]:
    """A namespace in Redis that no other test uses; its keys are deleted afterwards."""
    name = f"t{uuid4().hex[:16]}"
    yield name
    with redis.Redis.from_url(redis_url) as client:
        for pattern in (f"{name}:*", f"{name}.dramatiq:*"):
            if keys := list(client.scan_iter(pattern, count=1000)):
                client.delete(*keys)


@pytest.fixture
def settings(mongodb_uri: str, redis_url: str, database_name: str, namespace: str) -> Settings:
    """The settings of one test: both servers, and its own place in them."""
    return Settings(
        mongodb_uri=SecretStr(mongodb_uri),
        mongodb_database=database_name,
        redis_url=SecretStr(redis_url),
        namespace=namespace,
    )


@pytest.fixture
def database(mongodb_client: MongoClient[Document], settings: Settings) -> Database[Document]:
    """The database of the test, read and written as the store does."""
    return database_of(mongodb_client, settings)


@pytest.fixture
def process_environment(settings: Settings) -> dict[str, str]:
    """The environment of a process that is to work with the test's settings."""
    return {
        **os.environ,
        "MONGODB_URI": settings.mongodb_uri.get_secret_value(),
        "MONGODB_DATABASE": str(settings.mongodb_database),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "AGENT_NAMESPACE": settings.namespace,
        "PYTHONPATH": str(ROOT),
    }
