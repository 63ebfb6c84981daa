"""A schedule: what it may say, when it is due, and what becomes of a due time. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import NotStorable, RequestInvalid
from agent.intake.context_manager import check_depth
from agent.intake.cron import Cron, Interval, Rule, in_milliseconds
from agent.intake.request import Date, Request, read_request
from agent.intake.values import as_date, problem_of, shown, told
from agent.models import Document
from agent.store.connection import encoded_size

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
MAX_REQUEST_BYTES = 1024 * 1024
"""It is read whenever it is due."""
SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 10 * 366 * 86400.0
LATE = timedelta(minutes=1)
"""What is later than this was missed. A bridge that takes over is not so late."""
MOST_SHOWN = 1000


class CatchUp(StrEnum):
    """What becomes of due times that passed while nobody fired."""

    NONE = "none"
    """They are left out, but for those of the last minute."""
    ONE = "one"
    """One run stands for all of them."""
    ALL = "all"
    """Each of them is run, one after the other."""


class Schedule(BaseModel):
    """A schedule as somebody gives it: the request, and when it is due."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=NAME)]
    request: dict[str, Any]
    cron: str | None = None
    every_seconds: Annotated[float, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS)] | None = None
    start_at: Date | None = None
    """Of an interval: its first time, and what it is counted from; now if it is not said."""
    timezone: str = "UTC"
    catch_up: Annotated[CatchUp, Field(strict=False)] = CatchUp.ONE
    paused: bool = False


class Decision(NamedTuple):
    """What becomes of a due time that has come."""

    fires: bool
    next_at: datetime | None


def read_schedule(body: Mapping[str, Any]) -> Schedule:
    """The schedule that a parsed body holds.

    Raises:
        RequestInvalid: every problem is named, with its field.
    """
    try:
        schedule = Schedule.model_validate(body)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        raise RequestInvalid(told([_problem(error) for error in errors])) from None
    if (schedule.cron is None) == (schedule.every_seconds is None):
        raise RequestInvalid("give `cron` or `every_seconds`, one of them")
    if schedule.every_seconds is not None and "timezone" in schedule.model_fields_set:
        raise RequestInvalid("`timezone` is for `cron`: an interval is as long everywhere")
    if schedule.cron is not None and schedule.start_at is not None:
        raise RequestInvalid("`start_at` is for `every_seconds`, which is counted from it")
    return schedule


def rule_of(stored: Mapping[str, Any]) -> Rule:
    """When a stored schedule is due.

    Raises:
        RequestInvalid: it does not say.
    """
    cron, every, zone = stored.get("cron"), stored.get("every_seconds"), stored.get("timezone")
    if isinstance(cron, str) and isinstance(zone, str):
        return Cron.of(cron, zone)
    start_at = as_date(stored.get("start_at"))
    if isinstance(every, int | float) and every >= SHORTEST_SECONDS and start_at is not None:
        return Interval(in_milliseconds(min(every, LONGEST_SECONDS)), start_at)
    raise RequestInvalid("it says neither a `cron` line nor `every_seconds` since a time")


def decide(rule: Rule, due: datetime, now: datetime, catch_up: CatchUp) -> Decision:
    """What becomes of the due time that is stored, once it has come, and which one follows.

    One process may come to another `now` than a second one; whether they fire is told by `due`,
    so that both come to the same id.
    """
    if catch_up is CatchUp.ALL:
        return Decision(True, rule.next_after(due))
    if catch_up is CatchUp.ONE:
        return Decision(True, rule.next_after(max(due, now)))
    missed = due < now - LATE
    return Decision(not missed, rule.next_after(now - LATE if missed else due))


def fired_id(name: str, due: datetime) -> str:
    """The id of what comes of a due time."""
    return f"sch_{name}@{due.astimezone(UTC):%Y%m%dT%H%M%S}.{due.microsecond // 1000:03d}Z"


def next_times(stored: Mapping[str, Any], now: datetime, count: int) -> list[datetime]:
    """When a stored schedule is due next, so many times at most.

    Raises:
        RequestInvalid: it does not say.
    """
    rule = rule_of(stored)
    next_at = None if stored.get("paused") else as_date(stored.get("next_at"))
    due = next_at or rule.next_after(now)
    times: list[datetime] = []
    while due is not None and len(times) < min(count, MOST_SHOWN):
        times.append(due)
        due = rule.next_after(due)
    return times


def request_of(body: Mapping[str, Any]) -> Request:
    """The request of a schedule, which has no times of its own.

    Raises:
        RequestInvalid: every problem is named.
    """
    for name in ("available_at", "deadline_at", "idempotency_key"):
        if body.get(name) is not None:
            raise RequestInvalid(f"`request.{name}`: is of one request, and a schedule makes many")
    return read_request(body)


def document_of(schedule: Schedule, now: datetime) -> Document:
    check_depth("request", schedule.request)
    document: Document = {
        "_id": schedule.name,
        "request": schedule.request,
        "cron": schedule.cron,
        "every_seconds": schedule.every_seconds,
        "timezone": schedule.timezone,
        "start_at": schedule.start_at or now,
        "catch_up": str(schedule.catch_up),
        "paused": schedule.paused,
        "created_at": now,
        "stored_at": now,
        "last_fired_at": None,
        "last_ids": [],
        "last_error": None,
        "fired": 0,
    }
    try:
        size = encoded_size(document)
    except NotStorable as exc:
        raise RequestInvalid(f"the schedule cannot be stored: {exc}") from exc
    if size > MAX_REQUEST_BYTES:
        raise RequestInvalid(f"`request` is larger than {MAX_REQUEST_BYTES // 2**20} MB")
    first = rule_of(document).next_after(now)
    if first is None:
        raise RequestInvalid(f"`cron`: {shown(schedule.cron)} is never due")
    return {**document, "next_at": first}


def _problem(error: Any) -> str:
    if error["loc"] == ("name",) and error["type"] == "string_pattern_mismatch":
        return "`name` must be up to 100 letters, digits, - _ and ., a letter or digit first"
    return problem_of(error, "the schedule")
