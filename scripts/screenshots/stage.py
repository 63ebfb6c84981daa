"""Where the pictures are taken: embedded servers and a `web`, as they run in production."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from agent.cli.system.surroundings import variables_of_ours
from agent.dashboard.entry.passwords import hash_password
from agent.embedded import EmbeddedServers, Process, Supervisor
from agent.embedded.ports import free_port
from agent.services import BUILT_IN

NAME, PASSWORD = "ann", "correct horse battery"
START_SECONDS = 60.0


@contextmanager
def servers_at(folder: Path, supervisor: Supervisor) -> Iterator[None]:
    """Both servers; nothing else in the environment of this process counts."""
    for name in variables_of_ours(list(os.environ)):
        del os.environ[name]
    os.environ["AGENT_ENV"] = "production"
    with EmbeddedServers(folder, durable=False, supervisor=supervisor) as servers:
        os.environ["MONGODB_URI"] = servers.mongodb_uri
        os.environ["REDIS_URL"] = servers.redis_url
        for service in BUILT_IN:
            os.environ[f"{service.variable_prefix}URL"] = f"https://{service.queue}.example/v1"
            os.environ[f"{service.variable_prefix}API_KEY"] = "not shown"
            os.environ[f"{service.variable_prefix}MAX_IN_FLIGHT"] = "40"
        yield


@contextmanager
def web_at(folder: Path, supervisor: Supervisor) -> Iterator[str]:
    """A `web` with one user, who is an operator; its address."""
    port = free_port()
    process = Process(
        name="web",
        command=(sys.executable, "-m", "agent.api"),
        env={"PORT": str(port), "AGENT_SECRET_KEY": "k" * 32,
             "AGENT_DASHBOARD_USERS": f"{NAME}:operator:{hash_password(PASSWORD)}"},
        log_path=folder / "web.log",
    )  # fmt: skip
    with ExitStack() as stack:
        stack.callback(supervisor.stop, supervisor.start(process))
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, folder / "web.log")
        yield url


def _wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/healthz").is_success:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"web does not answer; see {log}")
        time.sleep(0.1)
