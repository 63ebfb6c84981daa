"""One call of a Base service: what is sent, and the attempt that it belongs to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from agent.errors import RequestNotSendable
from agent.models import Document, context_key
from agent.workers.encoding import header_text, idempotency_key

NOT_SENT = frozenset({"lease", "attempts", "callback_url", "callbacks"})
"""Of ourselves and of whoever asks, and no business of the service's."""
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """What is posted: where, the body before it is encoded, and headers beside the usual ones."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a context.

    Args:
        number: how many there have been, this one included.
        deadline: when the call must have ended, on the monotonic clock.
        now: the time by the database's clock.
        trace_id: 32 hexadecimal digits that tie logs, attempt and call together.
        before_send: called right before the request is written, or a `call` of one's own begins;
            it may raise `Draining`.
    """

    number: int
    deadline: float
    now: Callable[[], datetime]
    trace_id: str
    before_send: Callable[[], None] | None = None


def request_id(context: Document) -> str:
    """The id of the request, else that of the context."""
    request = context.get("request")
    found = request.get("id") if isinstance(request, dict) else None
    return context_key(context.get("_id")) if found is None or found == "" else str(found)


def part(document: Document, name: str, where: str = "") -> dict[str, Any]:
    """A part of a stored document that must be an object.

    Raises:
        RequestNotSendable: it is missing, or something else.
    """
    value = document.get(name)
    if value is None:
        raise RequestNotSendable(f"{where}{name} is missing")
    if not isinstance(value, Mapping):
        raise RequestNotSendable(f"{where}{name} is no object but {type(value).__name__}")
    return dict(value)


def sent_context(context: Document) -> Document:
    """The context as its Base service sees it."""
    return {name: value for name, value in context.items() if name not in NOT_SENT}


def call_headers(context: Document, attempt: Attempt) -> dict[str, str]:
    """The headers of a call, by their names in lower case."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        "idempotency-key": idempotency_key(context),
        "x-request-id": header_text(request_id(context)),
        "x-attempt": str(attempt.number),
        "user-agent": user_agent(),
    }
    if _TRACE_ID.fullmatch(attempt.trace_id):
        headers["traceparent"] = f"00-{attempt.trace_id}-{os.urandom(8).hex()}-01"
    return headers


@lru_cache(maxsize=1)
def user_agent() -> str:
    """The name and version that services see."""
    try:
        return f"agent/{version('agent')}"
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "agent/0"
