"""Placeholders in a template's body: `{{ inputs.draft.text }}`, `{{ request.data.name }}`. Pure.

Only the namespaces `inputs` and `request` are ours; `{{product_name}}` belongs to the Base service
and stays as it is, byte for byte. A placeholder is looked up and nothing else: no code is run, and
what was put in is not looked through again.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from agent.errors import PlaceholderMissing, RequestNotSendable
from agent.models import ABSENT

MAX_FILLED_CHARACTERS = 16 * 1024 * 1024
"""What all placeholders of a template may put in: a short one that stands there often must not
take a worker's memory."""
MOST_NAMED = 100
LONGEST_NAME = 200

_PLACEHOLDER = re.compile(r"\{\{\s*+(inputs|request)\.([^{}]*+)\}\}")
"""Nothing in it is read twice, so that no text takes longer than its length."""


class Reference(NamedTuple):
    """Where a placeholder looks: the namespace, then keys of objects and places in lists."""

    namespace: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        name = ".".join((self.namespace, *self.path))
        return f"{{{{ {name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + '…'} }}}}"


def references(value: Any) -> set[Reference]:
    """Every placeholder of ours in a template's body."""
    found: set[Reference] = set()
    nodes = [value]
    while nodes:
        node = nodes.pop()
        if type(node) is str:
            found.update(_reference(match) for match in _PLACEHOLDER.finditer(node))
        else:
            nodes.extend(inner for _, inner in _inside(node))
    return found


def fill(value: Any, *, inputs: Mapping[str, Any], request: Mapping[str, Any]) -> Any:
    """A copy of a template's body with every placeholder of ours filled in.

    A text that is nothing but one placeholder becomes its value, of whatever type. Within a text
    a string is put in as it is, any other value as compact JSON. Keys of objects are left alone.

    Args:
        inputs: the results of earlier steps, by their keys.
        request: the request as it stands in the context.

    Raises:
        PlaceholderMissing: some have no value; each is named.
        RequestNotSendable: a value cannot be put into a text, or it would be too much.
    """
    filling = _Filling({"inputs": inputs, "request": request})
    root: list[Any] = [None]
    todo: list[tuple[Any, Any, Any]] = [(value, root, 0)]
    while todo:  # a loop, for a body may be nested more deeply than Python calls
        node, place, key = todo.pop()
        if type(node) is str:
            place[key] = filling.fill(node)
        elif isinstance(node, Mapping | list | tuple):
            copy: Any = dict.fromkeys(node) if isinstance(node, Mapping) else [None] * len(node)
            place[key] = copy
            todo.extend((inner, copy, name) for name, inner in reversed(_inside(node)))
        else:
            place[key] = node
    if filling.missing:
        raise PlaceholderMissing(_no_value([str(each) for each in filling.missing]))
    return root[0]


def _inside(node: Any) -> list[tuple[Any, Any]]:
    if isinstance(node, Mapping):
        return list(node.items())
    return list(enumerate(node)) if isinstance(node, list | tuple) else []


def _reference(match: re.Match[str]) -> Reference:
    return Reference(match[1], tuple(match[2].strip().split(".")))


def _no_value(missing: list[str]) -> str:
    more = len(missing) - MOST_NAMED
    return f"no value for {', '.join(missing[:MOST_NAMED])}" + (
        f" and {more} more" if more > 0 else ""
    )


class _Filling:
    """The values of one filling: each is looked up and written once, however often it stands."""

    def __init__(self, namespaces: Mapping[str, Mapping[str, Any]]) -> None:
        self.missing: dict[Reference, None] = {}
        self._namespaces = namespaces
        self._values: dict[Reference, Any] = {}
        self._texts: dict[Reference, str] = {}
        self._room = MAX_FILLED_CHARACTERS

    def fill(self, text: str) -> Any:
        whole = _PLACEHOLDER.fullmatch(text)
        if whole is None:
            return _PLACEHOLDER.sub(self._text, text)
        value = self._value(_reference(whole))
        if isinstance(value, str | Mapping | list | tuple):
            self._text(whole)  # it is sent as often as it stands there
        return value

    def _value(self, reference: Reference) -> Any:
        if reference not in self._values:
            found = _look_up(self._namespaces[reference.namespace], reference.path)
            self._values[reference] = found
            if found is ABSENT:
                self.missing[reference] = None
        return self._values[reference]

    def _text(self, match: re.Match[str]) -> str:
        reference = _reference(match)
        value = self._value(reference)
        if value is ABSENT:
            return ""  # never sent: it is an error in the end
        if reference not in self._texts:
            self._texts[reference] = _as_text(reference, value)
        text = self._texts[reference]
        self._room -= len(text)
        if self._room < 0:
            raise RequestNotSendable(
                f"the placeholders put in more than {MAX_FILLED_CHARACTERS // 2**20} million "
                f"characters, the last of them {reference}"
            )
        return text


def _look_up(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if isinstance(value, Mapping):
            value = value.get(name, ABSENT)
        elif isinstance(value, list | tuple) and name.isascii() and name.isdigit():
            index = int(name) if len(name) < 10 else len(value)
            value = value[index] if index < len(value) else ABSENT
        else:
            return ABSENT
    return value


def _as_text(reference: Reference, value: Any) -> str:
    try:
        if isinstance(value, dict | list):
            return _encoded(value)
        plain = _plain(value)
        return plain if isinstance(plain, str) else _encoded(plain)
    except (ValueError, TypeError, RecursionError) as exc:
        raise RequestNotSendable(f"the value of {reference} has no form in JSON") from exc


def _encoded(value: Any) -> str:
    """The value as JSON; only what `json` refuses is walked in Python."""
    try:
        return _ENCODER.encode(value)
    except ValueError:
        return _ENCODER.encode(_plain(value))


def _plain(value: Any) -> Any:  # noqa: PLR0911 - a table in the shape of returns
    """The value as JSON has it: dates as ISO 8601, NaN as null, as in the body of a call."""
    match value:
        case str():
            return str(value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case datetime():
            utc = value.astimezone(UTC) if value.tzinfo else value
            return utc.replace(tzinfo=None).isoformat() + "Z"
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
    return str(value)


_ENCODER = json.JSONEncoder(
    default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
)
