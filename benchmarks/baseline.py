"""What the systems beside ours do alike: connect, call with httpx, and write the result back.

The same wire, the same durability, the same body as ours; of all that ours guarantees only the
fenced write.
"""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime
from typing import Any

import httpx
from pymongo.collection import Collection

from agent.models import Document, Status
from agent.settings import Settings
from agent.store.clock import ServerClock
from agent.store.connection import connect, database_of

PATH = "/api/v1/generate"
TIMEOUT_SECONDS = 60.0
NOT_SENT = ("lease", "attempts")


class Baseline:
    """One process's connections: MongoDB shared by its threads, HTTP one client a thread."""

    def __init__(self, settings: Settings, service_url: str) -> None:
        self._service_url = service_url
        self._local = threading.local()
        self._tls = httpx.create_ssl_context()
        self._clock = ServerClock()
        client = connect(settings, self._clock)
        self._clock.learn(client)
        self.contexts: Collection[Document] = database_of(client, settings)["contexts"]
        self.name = f"{os.getpid()}"

    @property
    def now(self) -> datetime:
        return self._clock.now()

    def call(self, context: Document) -> dict[str, Any]:
        """Post a context to the Base service; the reply's body."""
        reply = self._client.post(PATH, content=body_of(context), headers=headers_of(context))
        reply.raise_for_status()
        found: dict[str, Any] = reply.json()
        return found

    def write_back(self, context: Document, results: dict[str, Any], *, status: Status) -> bool:
        """Complete it, if it still is as it was read; whether it was."""
        now = self.now
        written = self.contexts.update_one(
            {"_id": context["_id"], "fence": context["fence"], "status": str(status)},
            {
                "$set": {
                    "status": str(Status.COMPLETED),
                    "results": results,
                    "completed_at": now,
                    "updated_at": now,
                    "processed_by": self.name,
                },
                "$unset": {"lease": ""},
            },
        )
        return written.modified_count == 1

    @property
    def _client(self) -> httpx.Client:
        client: httpx.Client | None = getattr(self._local, "client", None)
        if client is None:
            client = httpx.Client(
                base_url=self._service_url, verify=self._tls, timeout=TIMEOUT_SECONDS
            )
            self._local.client = client
        return client


def body_of(context: Document) -> bytes:
    body = {
        "template_id": context["template"]["id"],
        "template_data": context["template"]["service_template"],
        "context": {name: value for name, value in context.items() if name not in NOT_SENT},
        "request_id": context["request"]["id"],
    }
    return json.dumps(body, default=_as_text).encode()


def headers_of(context: Document) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "idempotency-key": context["_id"],
        "x-request-id": context["request"]["id"],
    }


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
