"""`/v1/schedules`: requests that are asked for again and again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agent.answers import rendered_id
from agent.api import paging
from agent.api import problem_kinds as kinds
from agent.api.bodies import Body
from agent.api.doors import Doors
from agent.api.problems import Problem, documented
from agent.api.rendering import reply
from agent.api.requests import NewRequest
from agent.api.security import Operator, Reader
from agent.api.shapes import A_TIME, NextTimes, ScheduleAnswer, SchedulePage, ScheduleRun
from agent.errors import AlreadyStored, RequestInvalid
from agent.intake.cron import zone_of
from agent.intake.request import Date
from agent.intake.schedule import (
    LONGEST_SECONDS,
    MOST_SHOWN,
    NAME,
    SHORTEST_SECONDS,
    CatchUp,
    next_times,
    read_schedule,
)
from agent.models import Document
from agent.projections.doorbell import SCHEDULES
from agent.rendering import iso

LISTED_TIMES = 3
"""Of each schedule of a list."""
MOST_LISTED = 100

ScheduleName = Annotated[
    str, Path(min_length=1, max_length=500, description="Of the schedule.", examples=["news"])
]
EXAMPLES: list[JsonValue] = [
    {
        "cron": "30 7 * * mon",
        "timezone": "Europe/Berlin",
        "request": {"template_id": "newsletter", "data": {"list": "all"}},
    },
    {"every_seconds": 900, "request": {"template_id": "newsletter"}},
]


class ScheduleBody(Body):
    """A request, and when it is due: by `cron` or by `every_seconds`, one of them."""

    model_config = ConfigDict(json_schema_extra={"examples": EXAMPLES})

    request: NewRequest = Field(
        description="As of `POST /v1/requests`, without `available_at`, `deadline_at` and "
        "`idempotency_key`, which are of one request alone."
    )
    cron: str | None = Field(
        default=None, description="Minute, hour, day, month, weekday, as in crontab(5)."
    )
    timezone: str = Field(default="UTC", description="Of `cron`, by its name in the IANA list.")
    every_seconds: float | None = Field(default=None, ge=SHORTEST_SECONDS, le=LONGEST_SECONDS)
    start_at: Date | None = Field(
        default=None,
        description="The first time of `every_seconds`, which it is counted from; now, if not "
        "said.",
        examples=[A_TIME],
    )
    catch_up: Annotated[CatchUp, Field(strict=False)] = Field(
        default=CatchUp.ONE, description="What becomes of due times that pass while nothing runs."
    )
    paused: bool = False

    def given(self) -> Document:
        """What was said, as `read_schedule` reads it."""
        return self.model_dump(exclude_unset=True)


class NewSchedule(ScheduleBody):
    """A schedule, with its name."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "news", **EXAMPLES[0]}]}  # type: ignore[dict-item]
    )

    name: str = Field(pattern=NAME)


class ScheduleQuery(BaseModel):
    """A page of schedules."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=paging.DEFAULT, ge=1, le=MOST_LISTED)
    cursor: str | None = Field(
        default=None, max_length=500, description="`next` of the page before."
    )


def schedules_router(doors: Doors) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/schedules", tags=["schedules"])
    repository, schedules = doors.repository, doors.schedules
    known = documented(kinds.NOT_FOUND, kinds.REFUSED)

    def answer(stored: Document) -> Document:
        return schedule_answer(stored, repository.now())

    @router.get("", response_model=SchedulePage, responses=documented())
    def page(_caller: Reader, asked: Annotated[ScheduleQuery, Query()]) -> Response:
        """Schedules by name, each with its next times, without its request. Scope `read`."""
        found = repository.list_schedules(asked.limit, after=asked.cursor or "", brief=True)
        following = str(found[-1]["_id"]) if len(found) == asked.limit else None
        return reply({"items": [answer(each) for each in found], "next": following})

    @router.post(
        "",
        status_code=201,
        response_model=ScheduleAnswer,
        responses={
            201: {"headers": {"Location": {"schema": {"type": "string"}}}},
            **documented(kinds.EXISTS, kinds.REFUSED, kinds.TOO_LARGE),
        },
    )
    def create(_caller: Operator, body: NewSchedule) -> Response:
        """Store a schedule. The bridge fires it, or workers that run alone. Scope `operate`."""
        try:
            stored = schedules.add(read_schedule(body.given()))
        except AlreadyStored as exc:
            raise Problem(kinds.EXISTS, str(exc)) from exc
        doors.bell.ring(SCHEDULES)
        return reply(answer(stored), 201, {"Location": f"/v1/schedules/{body.name}"})

    @router.get("/{name}", response_model=ScheduleAnswer, responses=documented(kinds.NOT_FOUND))
    def show(_caller: Reader, name: ScheduleName) -> Response:
        """A schedule: its request, when it is due, and what last came of it. Scope `read`."""
        return reply(answer(schedules.find(name)))

    @router.put(
        "/{name}",
        response_model=ScheduleAnswer,
        responses=documented(kinds.REFUSED, kinds.TOO_LARGE),
    )
    def replace(_caller: Operator, name: ScheduleName, body: ScheduleBody) -> Response:
        """Store a schedule, in place of the one of this name if there is one; it begins anew, and
        what came of the other stays. Scope `operate`."""
        stored = schedules.add(read_schedule({"name": name, **body.given()}), replace=True)
        doors.bell.ring(SCHEDULES)
        return reply(answer(stored))

    @router.delete(
        "/{name}", status_code=204, response_class=Response, responses=documented(kinds.NOT_FOUND)
    )
    def remove(_caller: Operator, name: ScheduleName) -> Response:
        """Forget a schedule. What came of it stays. Scope `operate`."""
        schedules.remove(name)
        return Response(status_code=204)

    @router.post(
        "/{name}/pause", response_model=ScheduleAnswer, responses=documented(kinds.NOT_FOUND)
    )
    def pause(_caller: Operator, name: ScheduleName) -> Response:
        """Have a schedule not be due until it is resumed. Scope `operate`."""
        schedules.pause(name)
        return reply(answer(schedules.find(name)))

    @router.post("/{name}/resume", response_model=ScheduleAnswer, responses=known)
    def resume(_caller: Operator, name: ScheduleName) -> Response:
        """End its pause. What was due meanwhile is left out. Scope `operate`."""
        stored = schedules.resume(name)
        doors.bell.ring(SCHEDULES)
        return reply(answer(stored))

    @router.post(
        "/{name}/run-now",
        status_code=202,
        response_model=ScheduleRun,
        responses={
            202: {"headers": {"Location": {"schema": {"type": "string"}}}},
            **documented(kinds.NOT_FOUND, kinds.REFUSED, kinds.IN_PROGRESS),
        },
    )
    def run_now(_caller: Operator, name: ScheduleName) -> Response:
        """Ask for its request once, beside its due times and its pause. Scope `operate`."""
        request_id = schedules.run_now(name)
        doors.bell.ring()
        return reply({"id": request_id}, 202, {"Location": f"/v1/requests/{request_id}"})

    @router.get("/{name}/next", response_model=NextTimes, responses=known)
    def following(
        _caller: Reader,
        name: ScheduleName,
        count: Annotated[int, Query(ge=1, le=MOST_SHOWN, description="How many.")] = 5,
    ) -> Response:
        """When it is due next; of one that is paused, if it were resumed now. Scope `read`."""
        stored = schedules.find(name)
        times = next_times(stored, repository.now(), count)
        return reply({"timezone": _zone(stored), "items": [_told(each, stored) for each in times]})

    return router


def schedule_answer(stored: Document, now: datetime) -> Document:
    """A schedule as it is told: its document, with its `_id` as `name`, and its next times."""
    try:
        times = next_times(stored, now, LISTED_TIMES)
    except RequestInvalid:  # another program wrote it; `last_error` will say why it is paused
        times = []
    fields = {name: value for name, value in stored.items() if name not in ("_id", "name")}
    return {"name": rendered_id(stored["_id"]), **fields, "next_times": times}


def _told(time: datetime, stored: Document) -> dict[str, Any]:
    local = time.astimezone(zone_of(_zone(stored)))
    return {"at": iso(time), "local": local.isoformat(timespec="seconds")}


def _zone(stored: Document) -> str:
    """The zone that its times of day are meant in; an interval has none of its own."""
    return str(stored.get("timezone")) if stored.get("cron") is not None else str(UTC)
