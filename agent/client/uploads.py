"""How a batch is said in HTTP. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.client.calls import JSON, HttpRequest, Upload
from agent.client.fields import to_json
from agent.client.rows import JSON_LINES, Frame

AS_WORDS = frozenset(
    {
        "mode", "template_id", "template_version", "purpose_id", "text", "user_id", "priority",
        "available_at", "deadline_at", "max_attempts", "unique_key",
    }
)  # fmt: skip
AS_JSON = frozenset({"template", "data", "metadata", "tags"})
"""What the query of an upload may say beside its rows."""
MOST_IN_QUERY = 4000
"""Characters: servers and routers take no longer lines, and each may become three."""


def upload_in_http(upload: Upload) -> tuple[HttpRequest, Frame]:
    """A batch as it is sent, and what stands around its items: lines of JSON if all that they have
    in common finds room in the query, else one JSON body, of which 16 MB are taken.

    Raises:
        RequestRefused: a field holds something that JSON does not have.
    """
    body = dict(upload.body)
    headers = {"Idempotency-Key": str(body.pop("idempotency_key"))}
    query = {name: _word(name, value) for name, value in body.items()}
    if (AS_WORDS | AS_JSON).issuperset(query) and sum(map(len, query.values())) <= MOST_IN_QUERY:
        headers["Content-Type"] = "application/x-ndjson"
        return HttpRequest("POST", "/v1/batches/upload", query, headers), JSON_LINES
    return HttpRequest("POST", "/v1/batches", {}, {**headers, **JSON}), _one_body(body)


def _word(name: str, value: Any) -> str:
    if name in AS_JSON:
        return to_json(value, f"`{name}`").decode()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _one_body(body: Mapping[str, Any]) -> Frame:
    """Around the items of a body that says everything."""
    head = to_json(dict(body), "the request").removesuffix(b"}") + b',"items":['
    return Frame(head, b",", b"]}")
