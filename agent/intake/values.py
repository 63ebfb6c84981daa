"""What a value that somebody else wrote may stand for: a date, a text, urgency. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeGuard
from uuid import UUID

from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

_LONGEST_DATE = 64
_SHOWN = 60
_NAMED = 10
_TOLD = 20


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is stored as a string: BSON's code is a `str` to Python, but none in MongoDB."""
    return type(value) is str


def is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def as_date(value: object) -> datetime | None:
    """A date, or an ISO string, in UTC; one without a zone is UTC already. Else None."""
    if is_text(value) and len(value) <= _LONGEST_DATE:
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def as_text(value: object) -> str | None:
    """A string, or what other programs use in place of one (a number, an ObjectId). Else None."""
    if is_text(value):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if is_whole(value) or isinstance(value, ObjectId | UUID | Decimal128):
        return str(value)
    return None


def as_version(value: object) -> str | None:
    """A template's version: 1 is "1", 1.0 is "1.0". None where there is none to read."""
    if isinstance(value, float):
        return str(value)
    return as_text(value) or None


def is_urgent(request: Mapping[str, Any]) -> bool:
    """Whether `urgent` is true in the request, its data or its metadata."""
    places = (request, request.get("data"), request.get("metadata"))
    return any(place.get("urgent") is True for place in places if isinstance(place, Mapping))


def kind_of(value: object) -> str:  # noqa: PLR0911 - a table in the shape of returns
    """What a value is, for people; never its content."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case Mapping():
            return "an object"
        case list():
            return "a list"
        case datetime():
            return "a date"
        case _:
            return f"of type {type(value).__name__}"


def shown(value: object) -> str:
    """A word for a message: a string shortened, of anything else only what it is."""
    if not isinstance(value, str):
        return kind_of(value)
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")


def listed(names: Sequence[object]) -> str:
    """Names for a message: ten of them, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(map(str, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def problem_of(error: Mapping[str, Any], whole: str) -> str:
    """One of pydantic's errors in words: its field, or the whole, and what is wrong with it."""
    where = ".".join(str(part) for part in error["loc"]) or whole
    return f"`{where}`: {str(error['msg']).removeprefix('Value error, ')}"


def told(problems: Sequence[str]) -> str:
    """Problems as one message: twenty of them, and how many more there are."""
    more = len(problems) - _TOLD
    return "; ".join(problems[:_TOLD]) + (f"; and {more} more problems" if more > 0 else "")
