"""Values in words for people; of a text nothing is left but what can be seen. Pure."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

LONGEST_MOMENT = 40
MINUTE, HOUR, DAY = 60, 3600, 86400
UNITS = (("d", DAY), ("h", HOUR), ("min", MINUTE))


def visible(text: str) -> str:
    """The text in one line, with control characters, and those that turn text around, escaped."""
    if text.isprintable():  # most are, and a page has thousands
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if unicodedata.category(character) == "Zs":  # a space of another width
        return " "
    return character.encode("unicode_escape").decode("ascii")


def shortened(text: str, length: int) -> str:
    """At most so many characters, the last one `…` if some are left out."""
    return text if len(text) <= length else text[: length - 1] + "…"


def span(duration: timedelta) -> str:
    """How long, in the unit that tells most: `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`."""
    seconds = max(0.0, duration.total_seconds())
    for unit, size in UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def milliseconds(value: float) -> str:
    """A duration of a call: `8 ms`, `812 ms`, `1.4 s`, `75 s`."""
    if value < 1000:
        return f"{value:.0f} ms"
    return f"{value / 1000:.1f} s" if value < 10_000 else f"{value / 1000:.0f} s"


def moment(value: object) -> str:
    """A time in UTC; what is none as it stands, `-` if it is missing."""
    if not isinstance(value, datetime):
        return "-" if value is None else shortened(visible(str(value)), LONGEST_MOMENT)
    return f"{_utc(value):%Y-%m-%d %H:%M:%S} UTC"


def ago(value: object, now: datetime) -> str:
    """How long ago that was, or in how long it will be; `-` for what is no time."""
    if not isinstance(value, datetime):
        return "-"
    since = now - _utc(value)
    return span(since) if since >= timedelta() else f"in {span(-since)}"


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
