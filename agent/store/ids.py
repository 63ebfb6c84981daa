"""Ids as people and programs write them: on a command line, or in the path of a URL. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from agent.errors import ContextNotFound, RequestInvalid
from agent.store.ejson import decode_id

Found = TypeVar("Found")

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")


def read_ids(word: str) -> list[Any]:
    """What an id in words may stand for, the likeliest first.

    A string; else extended JSON (`{"$oid": "…"}`, `17`); else the digits of an ObjectId or a UUID.

    Raises:
        RequestInvalid: it is extended JSON for what is no id.
    """
    read = [_read_extended(word), *_read_digits(word)]
    return [word, *(value for value in read if value is not None)]


def meant_by(word: str, ask: Callable[[Any], Found]) -> tuple[Any, Found]:
    """The id that is meant, and what was found under it.

    Args:
        ask: for a context by its id; raises `ContextNotFound` where there is none.

    Raises:
        ContextNotFound: there is none of any of these ids.
        RequestInvalid: it cannot be an id.
    """
    for candidate in read_ids(word):
        try:
            return candidate, ask(candidate)
        except ContextNotFound:
            continue
    raise ContextNotFound(f"no context {word!r}")


def _read_extended(word: str) -> Any:
    try:
        value = json.loads(word)
        decoded = decode_id(value)
    except (ValueError, RecursionError):
        return None
    if isinstance(decoded, list | re.Pattern) or type(decoded).__name__ == "Regex":
        raise RequestInvalid(f"{word!r} is no id: MongoDB has none of that kind")
    if isinstance(decoded, dict) and any(name.startswith("$") for name in decoded):
        raise RequestInvalid(f"{word!r} is no id: an operator stands in it")
    return None if isinstance(value, str) else decoded


def _read_digits(word: str) -> list[Any]:
    if _OBJECT_ID.fullmatch(word):
        return [decode_id({"$oid": word})]
    try:
        return [UUID(word)] if len(word) == 36 else []
    except ValueError:
        return []
