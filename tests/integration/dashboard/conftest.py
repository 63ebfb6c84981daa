"""The dashboard in this process, over a real MongoDB and Redis, and people who use it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from argon2 import PasswordHasher
from pydantic import SecretStr

from agent.api.app import create_app
from agent.dashboard import house
from agent.dashboard.entry.passwords import hash_password
from agent.dashboard.entry.users import Role
from agent.projections.connection import connect_redis
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository

with warnings.catch_warnings():
    # starlette would rather have its client on httpx2; ours is httpx, and it works with it
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

HOST = "https://agent.example"
PASSWORD = "correct horse battery"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Person:
    """Somebody with a browser that keeps cookies and says where a form comes from."""

    def __init__(self, browser: TestClient) -> None:
        self.browser = browser

    def get(self, path: str = "", **more: Any) -> Any:
        return self.browser.get(f"/dashboard{path}", **more)

    def csrf(self) -> str:
        """The token that stands in the forms of this session."""
        for path in ("/services", "/login"):
            found = CSRF.search(self.get(path).text)
            if found is not None:
                return found[1]
        raise AssertionError("no form has a token")

    def post(self, path: str, *, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        data = {"csrf": self.csrf(), **fields}
        return self.browser.post(
            f"/dashboard{path}", data=data, headers={"Origin": HOST, **(headers or {})}
        )

    def sign_in(self, name: str, password: str = PASSWORD) -> Any:
        return self.post("/login", name=name, password=password)


Meet = Callable[[], Person]


@pytest.fixture(scope="session")
def hashed() -> str:
    """Of the password, and quick to verify: those that people get are slow on purpose."""
    return hash_password(PASSWORD, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """The test's Redis."""
    with connect_redis(settings, max_connections=8) as client:
        yield client


@pytest.fixture
def guarded(settings: Settings, hashed: str) -> Settings:
    """Production, with a user of each role, named as the role."""
    users = " ".join(f"{role}:{role}:{hashed}" for role in Role)
    return settings.model_copy(
        update={"dashboard_users": SecretStr(users), "secret_key": SecretStr("k" * 32)}
    )


@pytest.fixture
def meet(
    guarded: Settings,
    repository: MongoContextRepository,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Meet]:
    """People who come to a dashboard in production; what they see is never a moment old."""
    monkeypatch.setattr(house, "LOOK_SECONDS", 0.0)
    with TestClient(
        create_app(guarded, repository=repository, client=client), base_url=HOST
    ) as running:

        def somebody() -> Person:
            return Person(TestClient(running.app, base_url=HOST))

        yield somebody


@pytest.fixture
def operator(meet: Meet) -> Person:
    """Somebody signed in who may change things."""
    person = meet()
    assert person.sign_in("operator").status_code == 200
    return person


@pytest.fixture
def viewer(meet: Meet) -> Person:
    """Somebody signed in who may look."""
    person = meet()
    assert person.sign_in("viewer").status_code == 200
    return person
