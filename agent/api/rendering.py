"""Documents as JSON: dates as ISO 8601, what JSON does not have as extended JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from fastapi import Response

from agent.store.ejson import to_json

JSON = "application/json"


def rendered(value: Any) -> Any:
    """The value, of nothing but what JSON has."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and type(value).__module__ != "bson.code":
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, dict):
        return {str(name): rendered(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rendered(each) for each in value]
    if isinstance(value, datetime):
        return iso(value)
    return json.loads(to_json(value))


def iso(value: datetime) -> str:
    """A date in UTC, to the millisecond."""
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_bytes(value: Any) -> bytes:
    """JSON in ASCII: half a surrogate pair, which JSON may hold, is no text that can be sent."""
    return json.dumps(rendered(value), allow_nan=False, separators=(",", ":")).encode()


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON reply."""
    return Response(to_bytes(value), status, headers, JSON)
