"""What a request may say, and the JSON that says it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypedDict
from uuid import UUID

from agent.client.errors import RequestRefused


class RequestFields(TypedDict, total=False):
    """The fields of a request, as docs/api.md has them. What is `None` counts as not given.

    The template is named (`template_id`), comes along (`template`), or is that of a purpose
    (`purpose_id`, or `text` that names one by its keywords).
    """

    template_id: str | None
    template_version: str | None
    template: Mapping[str, Any] | None
    purpose_id: str | None
    text: str | None
    user_id: str | None
    data: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    priority: int | None
    """1 (first) to 10 (last)."""
    available_at: datetime | str | None
    """Not before."""
    deadline_at: datetime | str | None
    """Not to be begun after."""
    tags: Mapping[str, Any] | Sequence[str] | None
    max_attempts: int | None
    unique_key: str | None
    """Of what is asked for: while one request that has it is not final, there is no other."""
    idempotency_key: str | None
    """Of this submission; the client draws one where none is given."""
    callback_url: str | None
    """Told when it is final."""


def body_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request, without what is not given.

    Raises:
        RequestRefused: a time without a zone.
    """
    body = {name: value for name, value in fields.items() if value is not None}
    for name in ("available_at", "deadline_at"):
        at = body.get(name)
        if isinstance(at, datetime) and at.tzinfo is None:
            raise RequestRefused(
                f"`{name}` has no time zone; write datetime(…, tzinfo=UTC), or .astimezone()"
            )
    return body


def to_json(value: Any, what: str) -> bytes:
    """JSON of it; dates and UUIDs become strings.

    Raises:
        RequestRefused: it holds something that JSON does not have.
    """
    try:
        text = json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as exc:
        raise RequestRefused(f"{what} is no JSON: {exc or type(exc).__name__}") from exc
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"there is a value of the type {type(value).__name__}")
