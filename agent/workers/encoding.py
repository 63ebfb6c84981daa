"""How values go over the wire: JSON bodies, and what may stand in a header."""

from __future__ import annotations

import base64
import json
import math
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from bson import json_util
from bson.binary import UuidRepresentation
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from agent.errors import RequestNotSendable

MAX_DEPTH = 200
"""MongoDB nests documents 100 deep; a body puts one into a few levels more."""
MAX_PATH = 200

_EXTENDED = json_util.CANONICAL_JSON_OPTIONS.with_options(
    uuid_representation=UuidRepresentation.STANDARD
)
_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


def encode_body(value: Any) -> bytes:
    """A body as JSON: dates as ISO 8601, what JSON does not have as text, NaN as null.

    `json` does it alone in the common case; only what it refuses is walked in Python.

    Raises:
        RequestNotSendable: it cannot be sent; the message names the field.
    """
    try:
        body = _ENCODER.encode(value).encode()
    except (ValueError, TypeError, RecursionError):
        return _encode_slowly(value)
    return body if _has_plain_keys(value) else _encode_slowly(value)


def _encode_slowly(value: Any) -> bytes:
    try:
        return _ENCODER.encode(_plain(value, ())).encode()
    except (ValueError, TypeError, RecursionError) as exc:
        raise RequestNotSendable(f"the body cannot be encoded ({type(exc).__name__})") from exc


def _has_plain_keys(value: Any) -> bool:
    """Whether all keys are strings (`json` would quietly turn numbers into them), and not deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                for key in node:
                    if type(key) is not str:
                        return False
                below += [item for item in node.values() if type(item) not in _LEAVES]
            elif isinstance(node, list | tuple):
                below += [item for item in node if type(item) not in _LEAVES]
            elif isinstance(node, Mapping | DBRef):
                return False
        if not below:
            return True
        level = below
    return False


_LEAVES = frozenset({str, int, float, bool, type(None), datetime, ObjectId})


def _plain(value: Any, path: tuple[str, ...]) -> Any:  # noqa: PLR0911 - one line for each type
    """The value as `json` knows it, or the error that names where it cannot be."""
    if len(path) > MAX_DEPTH:
        raise _refusal(path, f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict | Mapping):
        return {_key(key, path): _plain(item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, (*path, str(index))) for index, item in enumerate(value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return _checked_text(value, path)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _checked_int(value, path)
    try:
        converted = _text_of(value)
    except (TypeError, ValueError) as exc:
        raise _refusal(path, f"{type(value).__name__} has no form in JSON") from exc
    return _plain(converted, path) if isinstance(converted, Mapping) else converted


def _key(key: Any, path: tuple[str, ...]) -> str:
    if not isinstance(key, str):
        raise _refusal(path, f"has a key that is no string but {type(key).__name__}")
    return _checked_text(key, path)


def _checked_text(text: str, path: tuple[str, ...]) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise _refusal(path, "has a character that UTF-8 does not have") from exc
    return text


def _checked_int(number: int, path: tuple[str, ...]) -> int:
    try:
        int.__repr__(number)
    except ValueError as exc:
        raise _refusal(path, "the number has too many digits") from exc
    return int(number)


def _refusal(path: tuple[str, ...], reason: str) -> RequestNotSendable:
    where = ".".join(path).encode("ascii", "backslashreplace").decode()
    where = where if len(where) <= MAX_PATH else where[:MAX_PATH] + "…"
    return RequestNotSendable(f"{where or 'the body'}: {reason}")


def _text_of(value: Any) -> Any:  # noqa: PLR0911 - one line for each type
    """What stands for a value that JSON does not have.

    Raises:
        TypeError: nothing does.
    """
    match value:
        case datetime():
            return _iso(value)
        case date():
            return value.isoformat()
        case ObjectId() | uuid.UUID() | Decimal128() | Decimal():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
        case DatetimeMS():
            return str(int(value))
        case Timestamp():
            return _iso(value.as_datetime())
        case Regex() | re.Pattern():
            pattern = value.pattern
            return pattern if isinstance(pattern, str) else pattern.decode("utf-8", "replace")
        case MinKey() | MaxKey():
            return type(value).__name__
        case DBRef():
            return dict(value.as_doc())
        case Mapping():
            return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_ENCODER = json.JSONEncoder(
    default=_text_of, ensure_ascii=False, allow_nan=False, separators=(",", ":")
)


def _iso(value: datetime) -> str:
    """ISO 8601 in UTC; a date without a zone is UTC already."""
    try:
        value = value.astimezone(UTC) if value.tzinfo else value
    except OverflowError:
        return value.isoformat()
    return value.replace(tzinfo=None).isoformat() + "Z"


def idempotency_key(document: Mapping[str, Any]) -> str:
    """The key that a Base service tells repeated calls by.

    It is the `_id`. An operator's retry may raise `key_generation`, which then follows.
    """
    context_id = document.get("_id")
    if type(context_id) is str:
        key = header_text(context_id)
    else:
        key = quote(json_util.dumps(context_id, json_options=_EXTENDED), safe="")
    generation = document.get("key_generation")
    if isinstance(generation, int) and generation > 0:
        return f"{key}:{int(generation)}"
    return key


def header_text(text: str) -> str:
    """The text as a header may carry it: what is not visible ASCII is percent-encoded.

    So is `%` itself, lest two ids become one key.
    """
    return quote(text, safe=_VISIBLE, errors="surrogatepass")
