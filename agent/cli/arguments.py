"""What people type: ids, JSON, times, tags; read into values. Pure but for `@file` and `-`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from agent.errors import RequestInvalid

if TYPE_CHECKING:
    from agent.models import Status

MAX_FILE_BYTES = 15 * 1024 * 1024
ENDLESS = "inf"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_NUMBER = re.compile(r"\d+(\.\d+)?|inf")


def fill_in_wait(arguments: Sequence[str]) -> list[str]:
    """The arguments with a number after each `--wait` of `submit` that has none: no bound."""
    if list(arguments[:1]) != ["submit"]:
        return list(arguments)
    filled: list[str] = []
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        filled.append(word)
        if word == "--wait" and not _NUMBER.fullmatch(following):
            filled.append(ENDLESS)
    return filled


def read_object(option: str, word: str) -> dict[str, Any]:
    """The JSON object that an option holds, or that the file of `@file`, or stdin (`-`), holds.

    Raises:
        RequestInvalid: it is none; the message names the option.
    """
    try:
        value = json.loads(_text_of(option, word), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise RequestInvalid(f"{option}: is not JSON ({exc})") from exc
    if not isinstance(value, dict):
        raise RequestInvalid(f"{option}: must be a JSON object")
    return value


def _text_of(option: str, word: str) -> str:
    if word != "-" and not word.startswith("@"):
        return word
    content = _read(option, word)
    if len(content) > MAX_FILE_BYTES:
        raise RequestInvalid(f"{option}: is larger than {MAX_FILE_BYTES // 2**20} MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise RequestInvalid(f"{option}: is not UTF-8") from exc


def _read(option: str, word: str) -> bytes:
    if word == "-":
        return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    try:
        with Path(word[1:]).open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise RequestInvalid(f"{option}: {word[1:]!r} cannot be read ({reason})") from exc


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def read_tags(words: Iterable[str]) -> dict[str, str]:
    """Tags from `name=value` words.

    Raises:
        RequestInvalid: one has no name or no `=`.
    """
    tags = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name:
            raise RequestInvalid(f"--tag: {word!r} must be name=value")
        tags[name] = value
    return tags


def read_tag(word: str) -> str | tuple[str, str]:
    """A tag that is searched for: `name=value`, or one word of a list."""
    name, separator, value = word.partition("=")
    return (name, value) if separator else word


def read_status(option: str, word: str) -> Status:
    """A status, in any case of letters.

    Raises:
        RequestInvalid: there is none of that name; the message names the option.
    """
    from agent.models import Status

    try:
        return Status(word.lower())
    except ValueError:
        raise RequestInvalid(f"{option}: {word!r} is none of {', '.join(Status)}") from None


def read_duration(option: str, word: str) -> timedelta:
    """A duration: seconds, or a number with `s`, `m`, `h` or `d`.

    Raises:
        RequestInvalid: it is none; the message names the option.
    """
    found = _DURATION.fullmatch(word.strip())
    try:
        if found is not None:
            return timedelta(seconds=float(found[1]) * _SECONDS[found[2] or "s"])
    except OverflowError:
        pass
    raise RequestInvalid(f"{option}: {word!r} is no duration; write 90, 90s, 15m, 2h or 1d")


def read_time(option: str, word: str, now: datetime) -> datetime:
    """A time: ISO 8601, in UTC unless it names a zone; or `+` and a duration from now.

    Raises:
        RequestInvalid: it is none; the message names the option.
    """
    from agent.intake.values import as_date

    if word.startswith("+"):
        try:
            return now + read_duration(option, word[1:])
        except OverflowError:
            raise RequestInvalid(f"{option}: {word!r} is too far ahead") from None
    found = as_date(word)
    if found is None:
        raise RequestInvalid(
            f"{option}: {word!r} is no time; write 2030-01-31T12:00:00Z, or +15m for in 15 minutes"
        )
    return found


def read_past(option: str, word: str, now: datetime) -> datetime:
    """A time: ISO 8601, in UTC unless it names a zone; or a duration before now.

    Raises:
        RequestInvalid: it is none; the message names the option.
    """
    from agent.intake.values import as_date

    if _DURATION.fullmatch(word.strip()) is not None:
        try:
            return now - read_duration(option, word)
        except OverflowError:
            raise RequestInvalid(f"{option}: {word!r} is too long ago") from None
    found = as_date(word)
    if found is None:
        raise RequestInvalid(
            f"{option}: {word!r} is no time; write 2030-01-31T12:00:00Z, or 2h for 2 hours ago"
        )
    return found


def check_times(times: dict[str, str | None]) -> None:
    """Refuse what would be another request each time it is sent under its key.

    Raises:
        RequestInvalid: a time is counted from now.
    """
    for option, word in times.items():
        if word is not None and word.startswith("+"):
            raise RequestInvalid(
                f"{option}: {word!r} is another time whenever it is said; with --idempotency-key "
                "write 2030-01-31T12:00:00Z"
            )
