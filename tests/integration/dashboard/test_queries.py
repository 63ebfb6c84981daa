"""What the pages ask of MongoDB: only what is declared with its index, and never without an end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
import redis
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from agent.api.app import create_app
from agent.dashboard import house
from agent.dashboard.pages import HOME
from agent.models import Document
from agent.settings import Settings
from agent.store.clock import ServerClock
from agent.store.connection import connect
from agent.store.indexes import QUERIES
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import LONG_AGO, a_context, a_lease
from tests.integration.dashboard import conftest
from tests.integration.dashboard.conftest import HOST, Person
from tests.integration.store.test_declared_queries import Sent, read_command

KIND = "0123456789ab"
ERROR = {"type": "Rejected", "message": "422", "fingerprint": KIND}
FILTERS = ("service=ANALYSIS", "status=failed", "tag=team%3Dnorth", "template=greeting",
           "user=user%3A42", "error=Rejected", f"kind={KIND}", "since=2h", "until=1h",
           "service=ANALYSIS&status=pending&tag=x&since=2d&until=1h")  # fmt: skip
FEW = {"services", "locks"}
"""Collections of a document for each service, or for each installation."""
WITHOUT_QUERIES = {f"{HOME}/static/{{name}}", f"{HOME}/live", f"{HOME}/login"}
ENDLESS = {
    "[{'$match': {'status': {'$in': ['processing', 'queued']}, 'available_at'":
        "what is in flight is bounded by the limits of the services",
    "[{'$group': {'_id': {'service': '$service_type', 'status': '$status'}":
        "of few contexts, or in the background",
}  # fmt: skip
"""How the pipelines begin that have no end, and why they may."""


def contexts() -> Iterator[Document]:
    """One of each status; a request of two steps, and a batch."""
    for number, status in enumerate(("pending", "scheduled", "completed", "cancelled") * 30):
        yield a_context(_id=f"c{number}", status=status, service_type="ANALYSIS")
    ended: Document = {"status": "failed", "error": ERROR, "completed_at": LONG_AGO}
    yield from (a_context(_id=f"f{n}", **ended) for n in range(3))
    for status in ("queued", "processing"):
        yield a_context(_id=status, status=status, lease=a_lease(), attempt=1)
    yield a_context(_id="retry", status="scheduled", wait_reason="retry", error=ERROR)
    for service_type in ("REQUEST", "BATCH"):
        parent = a_context(_id=service_type, kind="parent", status="processing", steps=["a", "b"])
        yield {**parent, "service_type": service_type, "available_at": None}
        child = f"{service_type}_a"
        yield a_context(_id=child, parent_id=service_type, step="a", **ended)
        yield a_context(_id=f"{service_type}_b", parent_id=service_type, step="b",
                        status="waiting", after=[child])  # fmt: skip


def paths(person: Person) -> list[str]:
    """Every page, and each with what it can be asked; and what lies behind the first page."""
    found = [
        "", "?span=day", "/charts.json", "/services", "/workers", "/bridge", "/contexts",
        *(f"/contexts?{each}" for each in FILTERS), "/contexts?id=c1", "/contexts/c0",
        "/contexts/c1", "/contexts/f1", "/contexts/queued", "/contexts/retry", "/contexts/nobody",
        "/contexts/REQUEST_b", "/contexts/c0?format=json", "/requests",
        "/requests?status=processing",
        "/requests?kind=batch", "/requests/REQUEST", "/requests/BATCH",
        "/requests/BATCH?format=csv", "/schedules", "/retries", "/retries?sort=attempts",
        "/retries/change?what=cancel&id=retry", "/retries/deeds/aud_1", "/dead",
        "/dead?service=GENERATIVE", "/dead?since=2h", f"/dead/retry?kind={KIND}",
        f"/dead/retry?kind={KIND}&service=GENERATIVE&since=2d", "/dead/retry?scope=all",
        "/dead/deeds/aud_1", "/audit", "/audit?who=ann",
    ]  # fmt: skip
    for path in ("/contexts", "/contexts?service=ANALYSIS"):
        following = re.search(r'<a href="/dashboard([^"]*)" rel="next">', person.get(path).text)
        assert following is not None, path
        found.append(following[1].replace("&amp;", "&"))
    return found


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def watched(
    guarded: Settings, client: redis.Redis, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Person]:
    """An operator at a dashboard whose commands to MongoDB are seen."""
    monkeypatch.setattr(house, "LOOK_SECONDS", 0.0)
    clock = ServerClock()
    with connect(guarded, clock, cast(Any, sent)) as mongodb:
        repository = MongoContextRepository(mongodb, clock, guarded)
        repository.create_indexes()
        repository.contexts.insert_many(contexts())
        app = create_app(guarded, repository=repository, client=client)
        with conftest.TestClient(app, base_url=HOST) as browser:  # type: ignore[attr-defined]
            person = Person(browser)
            assert person.sign_in("operator").status_code == 200
            yield person


def asked(person: Person, sent: Sent, path: str) -> list[Mapping[str, Any]]:
    """The commands of a page."""
    sent.commands.clear()
    assert person.get(path).status_code in (200, 404), path
    return list(sent.commands)


def is_declared(command: Mapping[str, Any]) -> bool:
    """Whether an index serves all that it asks; documents by their `_id` need none of ours."""
    return all(
        "_id" in each.filter
        or each.collection in FEW
        or any(each.is_served(query) for query in QUERIES)
        for each in read_command(command)
    )


def is_bounded(command: Mapping[str, Any]) -> bool:
    """Whether it says how many it reads at most."""
    if "find" in command:
        by_id = command["filter"].get("_id")
        by_ids = by_id is not None and not (isinstance(by_id, dict) and "$in" not in by_id)
        return command.get("limit", 0) > 0 or by_ids or command["find"] in FEW
    if "aggregate" in command:
        return any("$limit" in stage for stage in command["pipeline"])
    return True


def test_all_that_a_page_asks_is_declared_and_has_an_end(watched: Person, sent: Sent) -> None:
    """Or a million contexts would make it slow."""
    undeclared, endless = [], []
    for path in paths(watched):
        for command in asked(watched, sent, path):
            undeclared += [] if is_declared(command) else [(path, command)]
            endless += [] if is_bounded(command) else [(path, command)]
    assert undeclared == []
    pipelines = {str(command["pipeline"]) for _, command in endless}
    known = {each for each in pipelines for sign in ENDLESS if each.startswith(sign)}
    assert pipelines == known
    assert len(pipelines) == len(ENDLESS), "what has an end by now is no exception"


def test_no_page_is_missing_above(watched: Person) -> None:
    """A page that is new is opened there, too."""
    pages = pages_of(cast(FastAPI, watched.browser.app))
    opened = {
        next(page for page, pattern in pages.items() if pattern.fullmatch(f"{HOME}{address}"))
        for address in (path.partition("?")[0] for path in paths(watched))
    }
    assert {*pages} - opened == WITHOUT_QUERIES


def pages_of(app: FastAPI) -> dict[str, re.Pattern[str]]:
    """The addresses of the dashboard, in the order in which they are looked at."""
    dashboard: Any = next(
        found for each in app.user_middleware if (found := each.kwargs.get("dashboard")) is not None
    )
    described = get_openapi(title="pages", version="1", routes=dashboard.routes)["paths"]
    return {
        path: re.compile(re.sub(r"\{[^}]*\}", ".+", path))
        for path, methods in described.items()
        if "get" in methods
    }
