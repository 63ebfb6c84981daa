"""Cursors: where a page ended, as a word that says nothing to anybody else. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from agent.errors import RequestInvalid
from agent.store.ejson import decode_id, encode_id

MOST = 500
"""Of one page."""
DEFAULT = 50
LONGEST_CURSOR = 4096


def cursor_after(created_at: datetime, context_id: Any) -> str:
    """The cursor of the page that begins after this context."""
    place = json.dumps([encode_id(created_at), encode_id(context_id)])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def read_cursor(word: str) -> tuple[datetime, Any]:
    """What `cursor_after` was given.

    Raises:
        RequestInvalid: it is no cursor of ours.
    """
    try:
        padded = word + "=" * (-len(word) % 4)
        place = json.loads(base64.b64decode(padded.encode("ascii"), b"-_", validate=True))
        created_at, context_id = (decode_id(each) for each in place)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise RequestInvalid("`cursor` is none that was answered here") from None
    if not isinstance(created_at, datetime) or _asks(context_id):
        raise RequestInvalid("`cursor` is none that was answered here")
    return created_at, context_id


def cursor_behind(context_id: str) -> str:
    """The cursor of the page that begins behind this id."""
    return base64.urlsafe_b64encode(context_id.encode()).decode().rstrip("=")


def read_id(word: str) -> str:
    """What `cursor_behind` was given.

    Raises:
        RequestInvalid: it is no cursor of ours.
    """
    try:
        padded = word + "=" * (-len(word) % 4)
        return base64.b64decode(padded.encode("ascii"), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise RequestInvalid("`cursor` is none that was answered here") from None


def _asks(context_id: Any) -> bool:
    """Whether it is more than an id: a list, a pattern, an operator."""
    if isinstance(context_id, dict):
        return any(name.startswith("$") for name in context_id)
    return isinstance(context_id, list) or hasattr(context_id, "pattern")
