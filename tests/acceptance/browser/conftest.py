"""A `web` with users and people with browsers who visit it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import redis
from argon2 import PasswordHasher
from playwright.sync_api import Browser, StorageState
from pydantic import SecretStr
from pymongo import MongoClient

from agent.dashboard.entry.passwords import hash_password
from agent.models import Document
from agent.projections.connection import connect_redis
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from bridge.views import Views
from scripts.browser import running_browser
from tests.acceptance.browser.filled import fill
from tests.acceptance.browser.visitor import PASSWORD, Visitor
from tests.acceptance.web import Web, emptied, own_place, running_web

ROLES = ("viewer", "operator", "admin")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """For the tests of this folder: as long as it runs, no other event loop may."""
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="package")
def place(
    mongodb_uri: str, redis_url: str, mongodb_client: MongoClient[Document]
) -> Iterator[dict[str, str]]:
    """The environment of the processes of these tests, with a place of their own."""
    with own_place(mongodb_uri, redis_url, mongodb_client) as place:
        yield place


@pytest.fixture(scope="package")
def served(place: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A `web` in production, with a user of each role, named as the role."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    hashed = hash_password(PASSWORD, quick)
    users = " ".join(f"{role}:{role}:{hashed}" for role in ROLES)
    with running_web(
        place, tmp_path_factory.mktemp("web"),
        AGENT_DASHBOARD_USERS=users, AGENT_SECRET_KEY="k" * 32,
    ) as web:  # fmt: skip
        yield web


@pytest.fixture(scope="package")
def settings(place: dict[str, str]) -> Settings:
    """Of that place, in this process."""
    return Settings(
        mongodb_uri=SecretStr(place["MONGODB_URI"]), mongodb_database=place["MONGODB_DATABASE"],
        redis_url=SecretStr(place["REDIS_URL"]), namespace=place["AGENT_NAMESPACE"],
    )  # fmt: skip


@pytest.fixture(scope="package")
def client(settings: Settings) -> Iterator[redis.Redis]:
    """The place's Redis."""
    with connect_redis(settings, max_connections=4) as client:
        yield client


@pytest.fixture(scope="package")
def connected(settings: Settings) -> Iterator[MongoContextRepository]:
    """The place's contexts, with all indexes."""
    repository = MongoContextRepository.connect(settings)
    repository.create_indexes()
    yield repository
    repository.close()


@pytest.fixture
def repository(
    connected: MongoContextRepository, client: redis.Redis, settings: Settings,
    mongodb_client: MongoClient[Document], place: dict[str, str],
) -> MongoContextRepository:  # fmt: skip
    """The same for one test: nothing is there, in neither server."""
    emptied(mongodb_client, place)
    if keys := list(client.scan_iter(f"{settings.namespace}:*", count=1000)):
        client.delete(*keys)
    return connected


Keep = Callable[[], None]


@pytest.fixture
def keep_views(repository: MongoContextRepository, client: redis.Redis, settings: Settings) -> Keep:
    """Does what the leading bridge does once a second: keep the lists in Redis true to MongoDB."""

    def keep() -> None:
        Views(repository, client, settings).run()

    return keep


@pytest.fixture
def filled(
    repository: MongoContextRepository, client: redis.Redis, settings: Settings, keep_views: Keep
) -> None:
    """Something of every kind is there, and in the lists of Redis."""
    fill(repository, client, settings)
    keep_views()


Sign = Callable[[str], StorageState]


@pytest.fixture(scope="package")
def signed_in(browser: Browser, served: Web) -> Sign:
    """What a browser keeps in which somebody of this role has signed in. Each does so once: so
    many of one address may try."""

    @cache
    def keep(role: str) -> StorageState:
        person = Visitor(browser, served.url)
        person.sign_in(role)
        person.page.wait_for_url("**/dashboard")
        kept = person.context.storage_state()
        person.close()
        return kept

    return keep


Meet = Callable[..., Visitor]


@pytest.fixture
def meet(
    browser: Browser, served: Web, signed_in: Sign, repository: MongoContextRepository
) -> Iterator[Meet]:
    """People who visit; at the end no browser may have complained of anything."""
    people: list[Visitor] = []

    def somebody(role: str | None = None, **options: Any) -> Visitor:
        session = signed_in(role) if role is not None else None
        people.append(person := Visitor(browser, served.url, session=session, **options))
        return person

    yield somebody
    for person in people:
        person.close()
    assert [each for person in people for each in person.complaints] == []
