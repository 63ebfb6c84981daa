"""What stands on a page: everything that others wrote as text that can be seen, and no more of it
than anybody reads. Pure."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from agent.logs import mask_secrets
from agent.store.ejson import encode_id, to_json
from agent.words import ago, milliseconds, moment, shortened, span, visible

LONGEST_TEXT = 300
LONGEST_ID = 80
LONGEST_JSON = 24_000
MASK = "***"
SECRETS = re.compile(
    r"pass(word|wd)|secret|token|api_?key|authori[sz]ation|credential|cookie", re.I
)
"""Names of fields whose values are shown to nobody."""


def text(value: Any, length: int = LONGEST_TEXT) -> str:
    """A value in one line; what turns text around or cannot be seen is escaped, and what looks
    like a secret is left out."""
    if value is None:
        return ""
    # masked before it is cut, or half a secret would be left; cut before too, to bound the work
    return visible(shortened(mask_secrets(_raw_text(value)[: 4 * length]), length))


def _raw_text(value: Any) -> str:
    word = value if isinstance(value, str) else str(value)
    return word.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair


def number(value: Any) -> str:
    """`12,345`; what is no number as it stands."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text(value, 40)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def time_tag(value: Any) -> Markup | str:
    """A time; a script shows it in the reader's zone, the exact one in UTC stands in its title."""
    if not isinstance(value, datetime):
        return moment(value)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        _iso(value), _exact(value), moment(value)
    )


def ago_tag(value: Any, now: datetime) -> Markup | str:
    """How long ago that was, or in how long it will be."""
    if not isinstance(value, datetime):
        return ago(value, now)
    word = ago(value, now)
    said = word if word.startswith("in ") else f"{word} ago"
    return Markup('<time class="ago" datetime="{}" title="{}">{}</time>').format(
        _iso(value), _exact(value), said
    )


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _iso(value: datetime) -> str:
    return _utc(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _exact(value: datetime) -> str:
    utc = _utc(value)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} UTC"


def stamp(value: Any) -> Markup | str:
    """A time that is written as ISO 8601; what is none as it stands."""
    try:
        return time_tag(datetime.fromisoformat(str(value)))
    except ValueError:
        return text(value, 40)


def seconds(value: Any) -> str:
    """A duration that is given in seconds."""
    return span(timedelta(seconds=float(value))) if isinstance(value, int | float) else "-"


def call_time(value: Any) -> str:
    """How long a call took, given in seconds: `812 ms`, `1.4 s`."""
    return milliseconds(1000 * value) if isinstance(value, int | float) else "-"


def moment_of(value: float) -> Markup | str:
    """A time that is given in seconds since 1970."""
    return time_tag(datetime.fromtimestamp(value, UTC))


def took(value: Any) -> str:
    """A duration that is given in milliseconds."""
    return milliseconds(value) if isinstance(value, int | float) else ""


def id_word(context_id: Any) -> str:
    """An id as it is read back: strings as they are, an ObjectId's digits, else extended JSON."""
    if isinstance(context_id, str):
        return str(context_id)
    if type(context_id).__name__ in ("ObjectId", "UUID"):
        return str(context_id)
    return json.dumps(encode_id(context_id), separators=(",", ":"))


def id_text(context_id: Any) -> str:
    """An id to be read."""
    return text(id_word(context_id), LONGEST_ID)


def id_path(context_id: Any) -> str:
    """An id as the end of a path."""
    return quote(id_word(context_id).encode("utf-8", "backslashreplace"), safe="")


def masked(value: Any) -> Any:
    """A document without what looks like a secret, by the name of its field or by its form."""
    if isinstance(value, dict):
        return {
            name: MASK if SECRETS.search(str(name)) and each is not None else masked(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [masked(each) for each in value]
    return mask_secrets(value) if isinstance(value, str) else value


def json_text(value: Any, length: int = LONGEST_JSON) -> str:
    """A part of a document as lines of JSON, without secrets; the end is left out of a long one."""
    lines = to_json(masked(_utf8(value)), indent=2, ascii_only=False).splitlines()
    whole = "\n".join(visible(line) for line in lines)
    return shortened(whole, length)


def _utf8(value: Any) -> Any:
    if isinstance(value, dict):
        return {_raw_text(name): _utf8(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_utf8(each) for each in value]
    return _raw_text(value) if isinstance(value, str) else value
