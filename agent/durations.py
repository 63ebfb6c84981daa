"""How long something is kept, as settings and requests say it: `30d`, `12h`, or `never`. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

NEVER: Literal["never"] = "never"
"""It is never deleted."""
Kept = timedelta | Literal["never"]
"""How long something is kept once it is final."""

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=36_500)
"""MongoDB looks once a minute for what is to be deleted."""
PATTERN = r"^(never|[1-9][0-9]{0,9}[smhdw])$"

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def read_kept(value: str | int) -> Kept:
    """How long: a whole number with `s`, `m`, `h`, `d` or `w`, or of seconds; or `never`.

    Raises:
        ValueError: it is none, or out of bounds.
    """
    if value == NEVER:
        return NEVER
    if isinstance(value, str):
        if re.fullmatch(PATTERN, value) is None:
            raise ValueError("must be a duration such as 12h, 30d or 4w, or never")
        value = int(value[:-1]) * _SECONDS[value[-1]]
    if not SHORTEST.total_seconds() <= value <= LONGEST.total_seconds():
        raise ValueError(f"must be from a minute to {LONGEST.days} days, or never")
    return timedelta(seconds=value)
