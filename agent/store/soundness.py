"""Whether what a claim, a start and an end count on is there: other programs may write anything.

A document that is not sound is taken from the line and adopted anew, which mends it or says what is
wrong.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bson.datetime_ms import DatetimeMS

from agent.models import Document

HIGHEST_FENCE = 2**53
"""Beyond it messages, which are JSON, would not carry it exactly."""

COUNTS = ("attempt", "failures", "snoozes", "crashes")


def is_date(value: Any) -> bool:
    """Whether it is stored as a date, be it beyond those that Python has."""
    return isinstance(value, datetime | DatetimeMS)


def is_past(value: Any, now: datetime) -> bool:
    """Whether it is a date, and has come."""
    if isinstance(value, DatetimeMS):
        return int(value) <= now.timestamp() * 1000
    return isinstance(value, datetime) and value <= now


def holds_array(lease: Any) -> bool:
    """Whether a server that looks for its end finds an array."""
    return isinstance(lease, list) or (
        isinstance(lease, dict) and isinstance(lease.get("expires_at"), list)
    )


def is_fence(value: Any) -> bool:
    """Whether a claim can raise it."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < HIGHEST_FENCE


def is_claimable(document: Document) -> bool:
    """Whether a pending context is claimed once its time has come."""
    return (
        is_fence(document.get("fence"))
        and is_date(document.get("available_at"))
        and isinstance(document.get("service_type"), str)
    )


def can_go_on(document: Document) -> bool:
    """Whether its attempts can be counted and recorded."""
    return isinstance(document.get("attempts", []), list) and all(
        _is_count(document.get(name, 0)) for name in COUNTS
    )


def _is_count(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < HIGHEST_FENCE
    )
