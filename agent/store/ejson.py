"""A context's id as JSON and back: what travels through the broker when an id is no plain string.

A string stays what it is; every other BSON value is written as canonical extended JSON, so that an
`ObjectId`, a UUID or an integer of 64 bits comes back as exactly that.
"""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import bson.errors
from bson import json_util
from bson.binary import UuidRepresentation
from bson.json_util import JSONMode, JSONOptions

OPTIONS: JSONOptions = JSONOptions(
    json_mode=JSONMode.CANONICAL,
    uuid_representation=UuidRepresentation.STANDARD,
    tz_aware=True,
    tzinfo=UTC,
)


READABLE: JSONOptions = JSONOptions(
    json_mode=JSONMode.RELAXED,
    uuid_representation=UuidRepresentation.STANDARD,
    tz_aware=True,
    tzinfo=UTC,
)
"""Plain numbers, and dates as ISO 8601."""


def to_json(value: object, *, indent: int | None = None, ascii_only: bool = True) -> str:
    """A document, or a part of one, as extended JSON for programs and people."""
    return json_util.dumps(value, json_options=READABLE, indent=indent, ensure_ascii=ascii_only)


def encode_id(value: object) -> Any:
    """The id as a value that `json` can write.

    Raises:
        TypeError: it is no BSON value.
    """
    if isinstance(value, str):
        return str(value)
    return json.loads(json_util.dumps(value, json_options=OPTIONS))


def id_word(value: object) -> str:
    """The id in one word, as commands and paths take it: extended JSON where it is no string.

    Raises:
        TypeError: it is no BSON value.
    """
    return str(value) if isinstance(value, str) else json.dumps(encode_id(value))


def decode_id(value: Any) -> Any:
    """The id that `encode_id` was given, in type and value.

    Raises:
        ValueError: it is no extended JSON.
    """
    if isinstance(value, str):
        return value
    try:
        return json_util.loads(json.dumps(value), json_options=OPTIONS)
    except (TypeError, ValueError, KeyError, OverflowError, bson.errors.BSONError) as exc:
        raise ValueError(f"no extended JSON: {exc}") from exc
    except (AttributeError, RecursionError, ArithmeticError) as exc:  # how json_util says no
        raise ValueError(f"no extended JSON: {type(exc).__name__}") from exc
