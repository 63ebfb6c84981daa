"""What the address of a page asks for: filters, times and a place, all of which it keeps. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError

from agent.api.paging import cursor_after
from agent.api.selecting import PageQuery
from agent.errors import RequestInvalid
from agent.models import Document

PAGE = 50
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(r"(\d{1,4})([mhd])")
_MINUTES = re.compile(r"[0-9]{1,5}")


def given(params: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """What is filled in of these fields: a form sends the empty ones too."""
    return {name: params[name].strip() for name in names if params.get(name, "").strip()}


def read_query(asked: Mapping[str, str], now: datetime) -> PageQuery:
    """What is asked for, in the words of the API; `since` and `until` may also be `15m`, `2h`, `7d`
    ago.

    Raises:
        RequestInvalid: a field cannot be read.
    """
    values: dict[str, Any] = {**asked, "limit": PAGE}
    for name in ("since", "until"):
        if match := _AGO.fullmatch(asked.get(name, "")):
            values[name] = now - timedelta(**{UNITS[match[2]]: int(match[1])})
    try:
        return PageQuery.model_validate(values)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the filter"
        raise RequestInvalid(f"{field}: {first['msg'].removeprefix('Value error, ')}") from None


def link(path: str, asked: Mapping[str, str], **changed: str | None) -> str:
    """An address with these fields."""
    fields = {**asked, **changed}
    kept = {name: value for name, value in fields.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def next_cursor(found: list[Document], *, by: str = "created_at") -> str | None:
    """Where the next page begins; None if this is the last one."""
    last = found[-1] if len(found) == PAGE else None
    at = last.get(by) if last is not None else None
    return cursor_after(at, last["_id"]) if last is not None and isinstance(at, datetime) else None


def minutes_of(word: str) -> timedelta | None:
    """So many minutes; None where nothing is said.

    Raises:
        RequestInvalid: it is no number from 1 to 99999.
    """
    word = word.strip()
    if not word:
        return None
    if not _MINUTES.fullmatch(word) or int(word) == 0:
        raise RequestInvalid("Say for how many minutes, from 1 to 99999, or leave it empty.")
    return timedelta(minutes=int(word))
