"""A running `web`, and a client of each kind that asks it, or MongoDB beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from pymongo import MongoClient
from pymongo.database import Database

from agent.client import AgentClient, AsyncAgentClient
from agent.models import Document
from tests.acceptance.web import Web, emptied, own_place, running_web
from tests.integration.client.bridged import Bridged

WAYS = ("http", "mongodb", "async http", "async mongodb")


@pytest.fixture(scope="session")
def place(
    mongodb_uri: str, redis_url: str, mongodb_client: MongoClient[Document]
) -> Iterator[dict[str, str]]:
    """The environment of `web`: a place of its own in both servers."""
    with own_place(mongodb_uri, redis_url, mongodb_client) as place:
        yield place


@pytest.fixture(scope="session")
def web(place: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Started once for all that leave it as it was."""
    with running_web(place, tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture
def kept(place: dict[str, str], mongodb_client: MongoClient[Document]) -> Database[Document]:
    """What `web` keeps, emptied."""
    return emptied(mongodb_client, place)


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread of its own."""
    with start_blocking_portal() as portal:
        yield portal


Connect = Callable[..., Any]


@pytest.fixture
def connect(
    web: Web, place: dict[str, str], kept: Database[Document], portal: BlockingPortal
) -> Iterator[Connect]:
    """Makes clients of any kind, which are closed afterwards."""
    with ExitStack() as stack:

        def make(way: str = "http", *, url: str = "", key: str = "boss", **options: Any) -> Any:
            options.setdefault("patience", 15)
            if way.endswith("mongodb"):
                url = url or place["MONGODB_URI"]
                options["database"] = place["MONGODB_DATABASE"]
            else:
                url, options["api_key"] = url or web.url, f"secret-of-{key}"
            if not way.startswith("async"):
                return stack.enter_context(AgentClient(url, **options))
            client = Bridged(AsyncAgentClient(url, **options), portal)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture(params=WAYS)
def client(request: pytest.FixtureRequest, connect: Connect) -> Any:
    """A client, of each kind in turn."""
    return connect(request.param)


@pytest.fixture
def direct(connect: Connect) -> AgentClient:
    """One straight to MongoDB."""
    client: AgentClient = connect("mongodb")
    return client
