"""The process type `web`, as a platform starts it, and somebody who asks it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from pymongo import MongoClient
from pymongo.database import Database

from agent.embedded.ports import free_port
from agent.models import Document
from tests.conftest import ROOT
from tests.waiting import wait_until

KEYS = {
    "reader": "read", "submitter": "submit", "program": "submit+read", "operator": "operate",
    "boss": "admin",
}  # fmt: skip
"""The scopes of each key; its secret is its name behind `secret-of-`."""
START_SECONDS = 60
BODY = {"template": {"service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}}}


def secret_of(name: str) -> dict[str, str]:
    """The header that this key is sent in."""
    return {"Authorization": f"Bearer secret-of-{name}"}


@contextmanager
def own_place(
    mongodb_uri: str, redis_url: str, client: MongoClient[Document], **variables: str
) -> Iterator[dict[str, str]]:
    """The environment of processes with a place of their own in both servers, which is gone
    afterwards."""
    name = uuid4().hex[:16]
    yield {
        **os.environ, "MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url, "PYTHONPATH": str(ROOT),
        "MONGODB_DATABASE": f"test_{name}", "AGENT_NAMESPACE": f"t{name}", **variables,
    }  # fmt: skip
    client.drop_database(f"test_{name}")


def emptied(client: MongoClient[Document], place: Mapping[str, str]) -> Database[Document]:
    """The database of a place, with nothing in it."""
    database = client[place["MONGODB_DATABASE"]]
    for name in database.list_collection_names():
        database[name].delete_many({})
    return database


class Web:
    """A running `web`."""

    def __init__(self, environment: Mapping[str, str], folder: Path, **variables: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"web-{self.port}.log"
        keys = " ".join(f"{name}:{scopes}:secret-of-{name}" for name, scopes in KEYS.items())
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent.api"],
                env={
                    **environment, "AGENT_ENV": "production", "PORT": str(self.port),
                    "AGENT_API_KEYS": keys, "AGENT_API_RATE_LIMIT": "10000", **variables,
                },
                stdout=output, stderr=output, cwd=folder,
            )  # fmt: skip

    def client(self, name: str = "boss", **options: Any) -> httpx.Client:
        """Somebody with a key."""
        options.setdefault("timeout", 40)
        return httpx.Client(base_url=self.url, headers=secret_of(name), **options)

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until(self._answers, START_SECONDS)

    def stop(self) -> int:
        """End it as platforms do; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running_web(environment: Mapping[str, str], folder: Path, **variables: str) -> Iterator[Web]:
    """A `web` that answers; it is killed if it is still there at the end."""
    web = Web(environment, folder, **variables)
    try:
        web.wait()
        yield web
    finally:
        web.process.kill()
        web.process.wait(timeout=30)
