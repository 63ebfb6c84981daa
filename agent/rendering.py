"""Documents as JSON: dates as ISO 8601, what JSON does not have as extended JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from agent.store.ejson import to_json


def rendered(value: Any) -> Any:
    """The value, of nothing but what JSON has."""
    if isinstance(value, dict):
        return {str(name): rendered(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rendered(each) for each in value]
    if isinstance(value, datetime):
        return iso(value)
    return value if _is_json(value) else json.loads(to_json(value))


def _is_json(value: Any) -> bool:
    if value is None or isinstance(value, bool | int | StrEnum):
        return True
    return type(value) is str or (isinstance(value, float) and math.isfinite(value))


def iso(value: datetime) -> str:
    """A date in UTC, to the millisecond."""
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_bytes(value: Any) -> bytes:
    """JSON in ASCII: half a surrogate pair, which JSON may hold, is no text that can be sent."""
    return json.dumps(rendered(value), allow_nan=False, separators=(",", ":")).encode()
