"""The `web` process of a line, and somebody who sends it batches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import httpx

from agent.embedded.ports import HOST, free_port
from agent.models import Document
from agent.store.ejson import to_json
from tests.faults.line import Line
from tests.faults.processes import Running

UPLOAD = "/v1/batches/upload"
ASK_SECONDS = 60.0


class Web:
    """One `web` process on a port that it keeps over its restarts; whoever asks needs no key."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._port = free_port()
        self.running = self._start()

    def restart(self) -> None:
        """Start it again after it was killed."""
        self.running = self._start()

    def upload(
        self,
        template: Mapping[str, Any],
        rows: Iterable[bytes],
        *,
        key: str | None = None,
        **asked: str,
    ) -> httpx.Response:
        """Send rows of CSV as they come, in one request.

        Args:
            key: to send it under again.
        """
        headers = {"Content-Type": "text/csv"}
        if key is not None:
            headers["Idempotency-Key"] = key
        query = {"template": to_json(dict(template)), **asked}
        with self._client() as client:
            return client.post(UPLOAD, params=query, headers=headers, content=rows)

    def batch(self, batch_id: str) -> Document:
        """What it says of a batch."""
        return self._ask("GET", batch_id)

    def change(self, batch_id: str, verb: str) -> Document:
        """Cancel a batch, or have it tried again."""
        return self._ask("POST", f"{batch_id}/{verb}")

    def _ask(self, method: str, path: str) -> Document:
        with self._client() as client:
            reply = client.request(method, f"/v1/batches/{path}")
        reply.raise_for_status()
        found: Document = reply.json()
        return found

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{HOST}:{self._port}", timeout=ASK_SECONDS)

    def _start(self) -> Running:
        variables = {
            "PORT": str(self._port), "AGENT_ENV": "development", "AGENT_API_RATE_LIMIT": "10000",
        }  # fmt: skip
        running = self._line.processes.start(
            "web", sys.executable, "-m", "agent.api", environment=variables
        )
        running.wait_for_start(self._answers)
        return running

    def _answers(self) -> bool:
        with suppress(httpx.TransportError), self._client() as client:
            return client.get("/healthz").status_code == 200
        return False
