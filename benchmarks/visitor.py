"""Somebody who has signed in to the dashboard: one connection, one cookie."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from argon2 import PasswordHasher

from agent.dashboard.entry.passwords import hash_password
from agent.embedded.ports import HOST
from benchmarks.bench import BenchmarkFailed

HOME = "/dashboard"
NAME, PASSWORD = "bench", "correct horse battery"
CSRF = re.compile(rb'name="csrf" value="([^"]+)"')
PATIENCE_SECONDS = 60


class Page(NamedTuple):
    """A page that was asked for."""

    milliseconds: float
    content: bytes


def settings_of_users() -> Mapping[str, str]:
    """The settings of a `web` that one operator may sign in to."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return {
        "AGENT_DASHBOARD_USERS": f"{NAME}:operator:{hash_password(PASSWORD, quick)}",
        "AGENT_SECRET_KEY": "k" * 32,
    }


class Visitor:
    """Signs in at once.

    Raises:
        BenchmarkFailed: that does not work.
    """

    def __init__(self, port: int) -> None:
        self._origin = f"http://{HOST}:{port}"
        self._connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_SECONDS)
        self.cookie = ""
        status, content = self._ask("GET", f"{HOME}/login")
        token = CSRF.search(content)
        if token is None:
            raise BenchmarkFailed(f"the page to sign in has no form: {status}")
        form = {"csrf": token[1].decode(), "name": NAME, "password": PASSWORD, "next": HOME}
        status, _ = self._ask("POST", f"{HOME}/login", form)
        if status != 303:
            raise BenchmarkFailed(f"signing in: {status}")

    def get(self, path: str) -> Page:
        """A page, and how long it took until it was there as a whole.

        Raises:
            BenchmarkFailed: it is no success.
        """
        begin = time.perf_counter()
        status, content = self._ask("GET", f"{HOME}{path}")
        took = 1000 * (time.perf_counter() - begin)
        if status != 200:
            raise BenchmarkFailed(f"{path or HOME}: {status}")
        return Page(took, content)

    def close(self) -> None:
        self._connection.close()

    def _ask(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        sent = {"Origin": self._origin, "Cookie": self.cookie}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        body = None if form is None else urlencode(form)
        self._connection.request(method, path, body, sent)
        reply = self._connection.getresponse()
        content = reply.read()
        # by hand: in production the cookie is for https alone, which a proxy would speak
        if cookie := reply.headers.get("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return reply.status, content
