"""Parameters of a template: what the data of a request have to hold. Pure.

They are a list of objects with a `name` and a `type`. Templates of the system before carry other
things under that name, which are left alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from agent.errors import RequestInvalid
from agent.intake.values import as_date, is_text, is_whole, kind_of, shown, told
from agent.models import ABSENT


def _is_number(value: object) -> bool:
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_integer(value: object) -> bool:
    return is_whole(value) or (isinstance(value, float) and value.is_integer())


TYPES: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "string": ("a string", is_text),
    "integer": ("a whole number", _is_integer),
    "number": ("a number", _is_number),
    "boolean": ("a boolean", lambda value: isinstance(value, bool)),
    "object": ("an object", lambda value: isinstance(value, Mapping)),
    "array": ("a list", lambda value: isinstance(value, list)),
    "date": ("a date in ISO 8601", lambda value: as_date(value) is not None),
    "any": ("any value", lambda value: True),
}
"""Each type: what it is called, and whether a value is of it."""


class Parameter(NamedTuple):
    """One value that a template asks of `data`.

    Args:
        default: put in where the request has none; `ABSENT` when there is no default.
        enum: the only values allowed; None for any of its type.
    """

    name: str
    type: str
    required: bool = False
    default: Any = ABSENT
    enum: tuple[Any, ...] | None = None


def read_parameters(value: Any) -> tuple[Parameter, ...]:
    """The typed parameters of a template; none where it holds something else under that name.

    Raises:
        RequestInvalid: they are meant to be typed, but wrong; every problem is named.
    """
    if not isinstance(value, list) or not any(map(_is_typed, value)):
        return ()
    problems: list[str] = []
    read: dict[str, Parameter] = {}
    for number, entry in enumerate(value, 1):
        if not _is_typed(entry):
            problems.append(f"parameter {number} has no `name` and `type`")
            continue
        parameter = _parameter(entry)
        if parameter.name in read:
            problems.append(f"parameter {shown(parameter.name)} stands there twice")
        read[parameter.name] = parameter
        problems += _problems_of(parameter, entry)
    if problems:
        raise RequestInvalid(told(problems))
    return tuple(read.values())


def with_defaults(parameters: Sequence[Parameter], data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a request, checked, with the defaults of what it does not give.

    A null counts as not given. What no parameter names is kept.

    Raises:
        RequestInvalid: every value that is missing or wrong is named.
    """
    checked = dict(data)
    problems: list[str] = []
    for parameter in parameters:
        value = checked.get(parameter.name)
        if value is not None:
            problems += _wrong(f"`data.{parameter.name}`", parameter, value)
        elif parameter.default is not ABSENT:
            checked[parameter.name] = copy.deepcopy(parameter.default)
        elif parameter.required:
            what, _ = TYPES[parameter.type]
            problems.append(f"`data.{parameter.name}` is missing, {what}")
    if problems:
        raise RequestInvalid(told(problems))
    return checked


def _is_typed(entry: Any) -> bool:
    return (
        isinstance(entry, Mapping)
        and is_text(entry.get("name"))
        and entry["name"] != ""
        and is_text(entry.get("type"))
    )


def _parameter(entry: Mapping[str, Any]) -> Parameter:
    enum = entry.get("enum")
    return Parameter(
        name=entry["name"],
        type=entry["type"],
        required=entry.get("required") is True,
        default=entry["default"] if entry.get("default") is not None else ABSENT,
        enum=tuple(enum) if isinstance(enum, list) else None,
    )


def _problems_of(parameter: Parameter, entry: Mapping[str, Any]) -> list[str]:
    where = f"parameter {shown(parameter.name)}"
    if parameter.type not in TYPES:
        return [f"{where}: `type` is {shown(parameter.type)}; known are {', '.join(TYPES)}"]
    problems: list[str] = []
    if not isinstance(entry.get("required", False), bool):
        problems.append(f"{where}: `required` is {kind_of(entry['required'])}, not a boolean")
    if entry.get("enum") is not None and not parameter.enum:
        problems.append(f"{where}: `enum` is no list of values")
    for allowed in parameter.enum or ():
        problems += _wrong(f"{where}: `enum`", parameter._replace(enum=None), allowed)
    if parameter.default is not ABSENT:
        problems += _wrong(f"{where}: `default`", parameter, parameter.default)
    return problems


def _wrong(where: str, parameter: Parameter, value: Any) -> list[str]:
    what, is_of_type = TYPES[parameter.type]
    if not is_of_type(value):
        found = "a text that is no date" if _is_text_of_date(parameter, value) else kind_of(value)
        return [f"{where} is {found}, not {what}"]
    if parameter.enum is not None and not any(_is_same(value, each) for each in parameter.enum):
        return [f"{where} is none of {_allowed(parameter.enum)}"]
    return []


def _is_text_of_date(parameter: Parameter, value: Any) -> bool:
    return parameter.type == "date" and is_text(value)


def _is_same(value: Any, allowed: Any) -> bool:
    """Equal, and true is not 1."""
    return bool(value == allowed) and isinstance(value, bool) is isinstance(allowed, bool)


def _allowed(enum: tuple[Any, ...]) -> str:
    return told([shown(each) if is_text(each) else str(each) for each in enum]).replace("; ", ", ")
