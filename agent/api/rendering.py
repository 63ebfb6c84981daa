"""Documents as JSON replies."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from agent.rendering import to_bytes

JSON = "application/json"


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON reply."""
    return Response(to_bytes(value), status, headers, JSON)
