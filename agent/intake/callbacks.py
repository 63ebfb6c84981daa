"""Callbacks: what a request with a `callback_url` carries, and what deliveries come of it. Pure.

A delivery is a context of its own, which knows whose end it tells and where to. What it tells is
read when it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from agent.models import (
    BATCH,
    PARENT,
    Context,
    Document,
    RequestData,
    Status,
    Template,
    context_key,
)
from agent.services import WEBHOOK
from agent.store.ends import End
from agent.webhooks import Webhooks

SOURCE = "callback"
"""Of the contexts that are deliveries."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,200}")


def callback_fields(url: str | None) -> Document:
    """What stands in the context of a request, or in the parent of its parts; nothing without a
    URL."""
    return {} if url is None else {"callback_url": url, "callbacks": {"ends": 0}}


def callback_problems(url: str | None, webhooks: Webhooks) -> list[str]:
    """What is wrong with the `callback_url` of a request."""
    if url is None:
        return []
    try:
        webhooks.address_of(url)
    except ValueError as exc:
        return [f"`callback_url`: {exc}"]
    return []


def delivery_id(request_id: Any, number: int) -> str:
    """The id of the delivery of an end, by its number: the `webhook-id` of each of its tries.

    It begins unlike those of requests, which may have steps of any name, and has none of the dots
    that stand between the parts of what is signed.
    """
    key = context_key(request_id)
    word = key if _PLAIN.fullmatch(key) else sha256(key.encode("utf-8", "replace")).hexdigest()[:40]
    return f"callback_{word}_{number}"


def event_type(request: Mapping[str, Any], status: str) -> str:
    """What has happened, in the words of the message."""
    return f"{'batch' if is_batch(request) else 'request'}.{status}"


def is_batch(request: Mapping[str, Any]) -> bool:
    return request.get("kind") == PARENT and request.get("service_type") == BATCH


def delivery_of(request: Document, end: End, now: datetime, *, max_attempts: int) -> Document:
    """The context that tells of one end."""
    callback = {
        "of": request["_id"],
        "url": request.get("callback_url"),
        "type": event_type(request, end.status),
        "ended_at": end.at,
    }
    key = context_key(request["_id"])
    context = Context(
        id=delivery_id(request["_id"], end.number),
        service_type=WEBHOOK.name,
        status=Status.PENDING,
        template=Template(id="callback", service_type=WEBHOOK.name),
        request=RequestData(id=key),
        tags={"request": key},
        source=SOURCE,
        created_at=now,
        updated_at=now,
        available_at=now,
        max_attempts=max_attempts,
        **{"callback": callback},
    )
    return context.to_document()
