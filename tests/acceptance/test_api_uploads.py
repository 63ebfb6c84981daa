"""Uploads to a running `web`: as rows come in, whoever sends them and however."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from agent.api.uploads import MOST_UPLOADS
from agent.models import Document
from tests.acceptance.web import Web, emptied, own_place, running_web, secret_of
from tests.waiting import wait_until

PLACE = "/v1/batches/upload"
QUERY = {"template": '{"service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}}'}
CSV = {"Content-Type": "text/csv"}
MOST_BYTES = 2 * 1024 * 1024
LINE = b"x" * 99 + b"\n"


@pytest.fixture(scope="module")
def environment(
    mongodb_uri: str, redis_url: str, mongodb_client: MongoClient[Document]
) -> Iterator[dict[str, str]]:
    """A place for all of these tests."""
    most = str(MOST_BYTES)
    with own_place(mongodb_uri, redis_url, mongodb_client, AGENT_MAX_UPLOAD_BYTES=most) as place:
        yield place


@pytest.fixture(scope="module")
def web(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Started once for all of these tests."""
    with running_web(environment, tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture
def database(
    web: Web, environment: dict[str, str], mongodb_client: MongoClient[Document]
) -> Database[Document]:
    """What `web` keeps, emptied."""
    return emptied(mongodb_client, environment)


@pytest.fixture
def boss(web: Web, database: Database[Document]) -> Iterator[httpx.Client]:
    """A key that may do everything; there is nothing yet."""
    with web.client() as client:
        yield client


def kind_of(reply: httpx.Response) -> str:
    """What kind of problem a reply tells."""
    assert reply.headers["content-type"] == "application/problem+json", reply.text
    return str(reply.json()["type"]).removeprefix("/problems/")


def test_slow_uploads_hold_up_nobody(
    web: Web, boss: httpx.Client, database: Database[Document]
) -> None:
    """So many at once are taken, one more is told when to come again, and all others are served;
    what came slowly is stored like anything else."""
    go_on = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"name\n" + b"Ann\n" * 1500
        assert go_on.wait(60)
        yield b"Bob\n"

    def upload(_number: int) -> httpx.Response:
        with web.client() as client:
            return client.post(PLACE, params=QUERY, content=slowly(), headers=CSV)

    with ThreadPoolExecutor(MOST_UPLOADS) as pool:
        uploads = [pool.submit(upload, number) for number in range(MOST_UPLOADS)]
        try:
            wait_until(lambda: database["uploads"].count_documents({}) == MOST_UPLOADS, 30)
            reply = boss.post(PLACE, params=QUERY, content=b"name\nAnn\n", headers=CSV)
            for _ in range(3):
                assert boss.get("/v1/batches").status_code == 200
        finally:
            go_on.set()
        answers = [each.result() for each in uploads]
    assert kind_of(reply) == "unavailable"
    assert int(reply.headers["retry-after"]) >= 1
    assert {each.status_code for each in answers} == {202}
    assert {each.json()["total"] for each in answers} == {1501}


@pytest.mark.parametrize("lengths", ["told", "not told"])
def test_an_upload_over_the_limit_is_cut_off(
    boss: httpx.Client, database: Database[Document], lengths: str
) -> None:
    """Whether it says how long it is or not; of it nothing is left."""
    lines = [b"name\n", *([LINE * 1000] * 22)]
    content = b"".join(lines) if lengths == "told" else iter(lines)
    reply = boss.post(PLACE, params=QUERY, content=content, headers=CSV)
    assert (reply.status_code, kind_of(reply)) == (413, "too-large")
    assert f"{MOST_BYTES:,} bytes" in reply.json()["detail"]
    for name in ("contexts", "uploads"):
        assert database[name].count_documents({}) == 0


def test_an_upload_that_breaks_off_leaves_nothing(
    web: Web, boss: httpx.Client, database: Database[Document]
) -> None:
    """Though rows of it were kept meanwhile; the log has no bug of it."""
    head = (
        f"POST {PLACE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
        f"Authorization: {secret_of('boss')['Authorization']}\r\nContent-Length: 1000000\r\n\r\n"
    ).replace(PLACE, f"{PLACE}?{httpx.QueryParams(QUERY)}")
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"name\n" + LINE * 3000)
        wait_until(lambda: database["uploads"].count_documents({}), 30)
    wait_until(lambda: not database["uploads"].count_documents({}), 30)
    assert database["contexts"].count_documents({}) == 0
    assert boss.get("/v1/batches").json()["items"] == []
    assert "api.bug" not in web.said
