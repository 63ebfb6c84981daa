"""The page `docs/python-client.md`: every example on it runs."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from pymongo.database import Database

from agent import client
from agent.client import AgentClient, AgentClientError
from agent.duties.expand import Expand
from agent.duties.settle import Settle
from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.web import Web
from tests.conftest import ROOT
from tests.integration.client.asked import ONE_STEP
from tests.integration.workers.stage import Scripted, reply

PAGE = (ROOT / "docs/python-client.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SAID = ("Hello", "request completed 100.0", "3 succeeded, 0 failed", "pending", "Hello")
"""What each of them prints, among other things."""


@pytest.fixture
def carried_out(direct: AgentClient, kept: Database[Document]) -> Iterator[None]:
    """A worker carries out what is asked for; batches are looked at all the time."""
    kept["templates"].insert_one(
        {"_id": "greeting:1.0", "id": "greeting", "version": "1.0", **ONE_STEP}
    )
    repository: MongoContextRepository = direct._mongo.repository  # type: ignore[union-attr]
    done = threading.Event()

    async def work() -> None:
        worker = Scripted(reply(200, {"text": "Hello"}), repository=repository)
        await worker.start()
        await asyncio.to_thread(done.wait)
        await worker.stop()

    def look_after_batches() -> None:
        expand, settle = Expand(repository), Settle(repository)
        while not done.wait(0.1):
            expand.look_again()
            expand.run()
            settle.run()

    threads = [
        threading.Thread(target=asyncio.run, args=(work(),)),
        threading.Thread(target=look_after_batches),
    ]
    for thread in threads:
        thread.start()
    yield
    done.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(("code", "said"), list(zip(EXAMPLES, SAID, strict=True)))
@pytest.mark.usefixtures("carried_out")
def test_an_example_runs(code: str, said: str, web: Web, place: dict[str, str]) -> None:
    """As it stands, but for its addresses."""
    code = (
        code.replace("http://127.0.0.1:8000", web.url)
        .replace("SECRET", "secret-of-boss")
        .replace("mongodb://127.0.0.1:27017/?replicaSet=rs0", place["MONGODB_URI"])
        .replace('database="agent"', f'database="{place["MONGODB_DATABASE"]}"')
    )
    environment = {**place, "AGENT_URL": web.url, "AGENT_API_KEY": "secret-of-boss"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout


def test_the_page_names_every_error() -> None:
    """None is left out."""
    errors = {
        name for name in client.__all__
        if isinstance(found := getattr(client, name), type) and issubclass(found, AgentClientError)
    }  # fmt: skip
    assert all(f"`{name}`" in PAGE for name in errors)


def test_by_http_nothing_of_the_store_is_imported() -> None:
    """A client needs httpx alone."""
    code = (
        "import sys; from agent.client import AgentClient; AgentClient('http://h:1').close()"
        "; print(sorted({'pymongo', 'fastapi', 'redis', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, cwd=ROOT,
        timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
