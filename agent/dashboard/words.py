"""What stands on a page: everything that others wrote as text that can be seen, and no more of it
than anybody reads. Pure."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

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
COUNTS = re.compile(r"tokens(_|$)|token_count", re.I)
"""Of these a number is no secret: it says how much a model read or wrote."""
MOMENT = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\b")


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


class About(int):
    """A count that was kept or estimated: it is shown as `≈ 12,345`."""


def number(value: Any) -> str:
    """`12,345`; what is no number as it stands."""
    if isinstance(value, About):
        return f"≈ {int(value):,}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text(value, 40)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def time_tag(value: Any) -> Markup | str:
    """A time; a script shows it in the reader's zone, the exact one in UTC stands in its title."""
    if not isinstance(value, datetime):
        return moment(value)
    return _tag(value, moment(value))


def sentence(value: Any, length: int = LONGEST_TEXT) -> Markup:
    """A value as a sentence of its own: with a capital, and its times as `time_tag` has them."""
    said = text(value, length)
    parts = MOMENT.split(said[:1].upper() + said[1:])
    return Markup("").join(
        _moment_tag(part) if place % 2 else part for place, part in enumerate(parts)
    )


def _moment_tag(word: str) -> Markup | str:
    try:
        return time_tag(datetime.fromisoformat(word).replace(tzinfo=UTC))
    except ValueError:
        return f"{word} UTC"


def ago_tag(value: Any, now: datetime) -> Markup | str:
    """How long ago that was, or in how long it will be."""
    if not isinstance(value, datetime):
        return ago(value, now)
    word = ago(value, now)
    said = word if word.startswith("in ") else f"{word} ago"
    return _tag(value, said, ' class="ago"')


def _tag(value: datetime, said: str, more: str = "") -> Markup:
    """Nothing in it but what was made of a time: it is not escaped, and a page has hundreds."""
    return Markup(  # noqa: S704 - see above
        f'<time{more} datetime="{_iso(value)}" title="{_exact(value)}">{said}</time>'
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
            name: MASK if _is_secret(str(name), each) else masked(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [masked(each) for each in value]
    return mask_secrets(value) if isinstance(value, str) else value


def _is_secret(name: str, value: Any) -> bool:
    if value is None or not SECRETS.search(name):
        return False
    return not (isinstance(value, int | float) and COUNTS.search(name))


def json_text(value: Any, most: int = LONGEST_JSON) -> str:
    """A part of a document as lines of JSON, without secrets, in so many bytes of a page at most;
    the end is left out of a long one, and not even looked at."""
    lines = to_json(masked(_beginning(value, [most])), indent=2, ascii_only=False).splitlines()
    shown, left = list[str](), most + 2  # more than fits, so that it shows that it is cut
    for line in lines:
        if left <= 0:
            break
        shown.append(visible(line[: left + 1]))
        left -= len(line) + 1
    return _fitting("\n".join(shown), most)


def _fitting(text: str, most: int) -> str:
    """As much of a text as takes so many bytes when it is escaped."""
    kept = text[:most]
    while (size := len(escape(kept).encode())) > most:
        kept = kept[: int(0.98 * len(kept) * most / size)]
    return text if kept == text else kept[:-1] + "…"


def _beginning(value: Any, left: list[int]) -> Any:
    """What of a value can be seen where there is room for so many characters, in UTF-8; `left` is
    counted down by one for each part."""
    left[0] -= 1
    if isinstance(value, dict):
        return {
            _raw_text(name): _beginning(each, left) for name, each in value.items() if left[0] >= 0
        }
    if isinstance(value, list):
        return [_beginning(each, left) for each in value if left[0] >= 0]
    # masked before it is cut, or half a secret would be left: so a little more than is shown
    return _raw_text(value[: 2 * LONGEST_JSON]) if isinstance(value, str) else value
