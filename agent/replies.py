"""What a reply of a Base service says: its JSON, its waits, its words, where its work is.

Pure, and trusting nothing: whatever a service sends, each function has an answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import quote, urljoin, urlsplit

MAX_RETRY_AFTER = timedelta(hours=1)
MAX_MESSAGE = 500
MAX_URL = 2000


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply of a Base service; header names are in lower case."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


def parse_json(body: bytes) -> Any:
    """Strict JSON. Integers of any size that Python reads do parse; storing may refuse them.

    Raises:
        ValueError: it does not parse, for whatever reason.
    """
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        if _LONE_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise ValueError("does not parse") from exc
    return value


_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("the number is too large")
    return value


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is; None for anything else."""
    try:
        value = parse_json(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """How long a `Retry-After` asks to wait, one hour at most; None for one that says nothing."""
    if value is None:
        return None
    value = value.strip()[:100]
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", value, re.ASCII):
        seconds = float(value)
    else:
        try:
            date = parsedate_to_datetime(value)
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            seconds = (date - now).total_seconds()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return timedelta(seconds=min(max(seconds, 0.0), MAX_RETRY_AFTER.total_seconds()))


def message_of(document: Mapping[str, Any]) -> str:
    """What the service says about its error, in one line."""
    for name in ("error", "detail", "message"):
        text = safe_text(_said(document.get(name)))
        if text:
            return text
    return ""


def _said(value: Any) -> str:
    """The words of an error field; of its structure only what names the fault, never the input."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        flat = (_said(item) for item in value[:5] if not isinstance(item, list))
        return "; ".join(filter(None, flat))
    if isinstance(value, dict):
        where = value.get("loc")
        where = where[:8] if isinstance(where, list) else []
        path = ".".join(str(part) for part in where if isinstance(part, str | int))
        found = (value.get(name) for name in ("message", "msg", "detail", "error", "code"))
        words = next((text for text in found if isinstance(text, str) and text), "")
        return f"{path}: {words}" if path and words else words
    return ""


def safe_text(text: str) -> str:
    """One line of at most 500 characters, without control characters."""
    visible = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_MESSAGE])
    line = " ".join(visible.split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


# Where accepted work is asked for


def resolve_location(location: str, base_url: str) -> str | None:
    """The absolute URL of a `Location`; None when it is not on the origin of `base_url`."""
    location = quote(location.strip(), safe="%/:=&?~#+!$,;'@()*[]")
    try:
        url = urljoin(base_url.rstrip("/") + "/", location).partition("#")[0]
        same = origin_of(url) == origin_of(base_url)
    except ValueError:
        return None
    return url if same and len(url) <= MAX_URL else None


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, the port of the scheme filled in.

    Raises:
        ValueError: it is no http URL, or names a user.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("no http URL")
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def work_id_of(document: Mapping[str, Any]) -> str | None:
    """The id of accepted work, percent-encoded; `.` and `..` would be another path."""
    status, work_id = document.get("status"), document.get("id")
    if not isinstance(status, str) or status.lower() != "accepted":
        return None
    if isinstance(work_id, bool) or not isinstance(work_id, str | int):
        return None
    text = str(work_id)
    return quote(text, safe="") if text not in ("", ".", "..") and len(text) <= MAX_URL else None


def status_url(base_url: str, status_path: str, work_id: str) -> str:
    """Where accepted work of this (encoded) id is asked for."""
    path = status_path if "{id}" in status_path else status_path.rstrip("/") + "/{id}"
    return base_url.rstrip("/") + path.replace("{id}", work_id)
