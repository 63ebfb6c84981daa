"""What the API answers, as types: they make the OpenAPI document, and say what may come."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agent.models import Status

AN_ID = "ctx_01JZ3W5T7K4M8N2P6Q9R0S1T2V"
A_TIME = "2030-01-31T12:00:00.000Z"

Id = Any
"""A string; of what another program stored also extended JSON (`{"$oid": "…"}`)."""


class Shape(BaseModel):
    """An answer; a later version may say more."""

    model_config = ConfigDict(extra="allow")


class Accepted(Shape):
    """It is stored, and will be carried out."""

    id: str = Field(description="Of the request.", examples=[AN_ID])
    existing: bool = Field(
        description="Whether it is an earlier, unfinished request with the same `unique_key`."
    )


class ErrorShape(Shape):
    """Why it failed."""

    type: str | None = Field(default=None, examples=["ServiceUnavailable"])
    message: str | None = None


class StepAnswer(Shape):
    """One step of a request: a context."""

    key: str = Field(examples=["draft"])
    id: Id = Field(examples=[f"{AN_ID}_draft"])
    status: str = Field(description="One of docs/states.md.", examples=[str(Status.COMPLETED)])
    service: str | None = Field(default=None, examples=["GENERATIVE"])
    attempt: int | None = None
    error: ErrorShape | None = None


class Progress(Shape):
    """How far it is."""

    total: int = 1
    processed: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    percentage: float = 0.0


class RequestAnswer(Shape):
    """What has become of a request."""

    id: Id = Field(examples=[AN_ID])
    status: str = Field(description="One of docs/states.md.", examples=[str(Status.COMPLETED)])
    results: Any = Field(
        description="The service's reply, as it came; of several steps by their keys.",
        examples=[{"success": True, "text": "Hello Ann"}],
    )
    error: ErrorShape | None = None
    steps: list[StepAnswer]
    progress: Progress
    created_at: Any = Field(default=None, examples=[A_TIME])
    updated_at: Any = Field(default=None, examples=[A_TIME])
    completed_at: Any = Field(default=None, examples=[A_TIME])


class ContextAnswer(Shape):
    """A context: docs/states.md and the fields of its document, dates as ISO 8601."""

    id: Id = Field(examples=[AN_ID])
    status: Any = Field(examples=[str(Status.PENDING)])


class ContextWithWhy(ContextAnswer):
    """A whole context, and why it is where it is."""

    why: str = Field(examples=["it is due and about to start"])


class ContextPage(Shape):
    """A page of contexts, the newest first."""

    items: list[ContextAnswer]
    next: str | None = Field(description="What to send as `cursor` for the next page.")


class BulkAnswer(Shape):
    """What has been done to all that match."""

    dry_run: bool
    matched: int = Field(description="With `dry_run` no more than 100,000 are counted.")
    changed: int
    moved_on: int = Field(description="Somebody else had changed them meanwhile.")
    refused: int = Field(description="MongoDB does not take the change.")
    until: Any = Field(description="What came after that was not touched.", examples=[A_TIME])
    is_complete: bool = Field(description="If not, send it again with this `until`.")


class DeadLetterShape(Shape):
    """Contexts of one service that failed alike."""

    kind: str
    service_type: str | None = None
    count: int
    is_exact: bool
    example_id: Id


class DeadLetterAnswer(Shape):
    """What failed, by kind."""

    kinds: list[DeadLetterShape]
    is_complete: bool


class PauseShape(Shape):
    """Why a service gets no calls."""

    by: str
    reason: str
    since: Any
    until: Any = None


class ServiceAnswer(Shape):
    """A service type."""

    name: str = Field(examples=["GENERATIVE"])
    pause: PauseShape | None = None
    counts: dict[str, int] = Field(examples=[{"pending": 3}])
    in_flight: int
    max_in_flight: int
    max_attempts: int
    timeout_seconds: float
    on_ambiguous: str
    workers: int | None = Field(description="Living ones; null while Redis is away.")
    threads: int | None


class ServiceList(Shape):
    """All service types."""

    items: list[ServiceAnswer]


class TemplateBrief(Shape):
    """A version of a template, without its body."""

    id: str
    version: str
    summary: str = Field(examples=["3 steps: draft, score, send"])
    source: str = Field(description="`collection`, or `file` of a folder of AGENT_TEMPLATES.")


class TemplateList(Shape):
    """Templates, by id."""

    items: list[TemplateBrief]
    is_complete: bool


class TemplateAnswer(Shape):
    """A template, as it is stored."""

    id: Id
    version: Any = "1.0"


class PurposeAnswer(Shape):
    """A purpose, as it is stored."""

    id: str
    template_id: Any = None


class PurposeList(Shape):
    """All purposes, by id."""

    items: list[PurposeAnswer]


class ScheduleBrief(Shape):
    """A schedule, without its request."""

    name: Id = Field(examples=["news"])
    cron: Any = Field(default=None, examples=["30 7 * * mon"])
    timezone: Any = Field(default=None, examples=["Europe/Berlin"])
    every_seconds: Any = None
    paused: Any = None
    next_at: Any = Field(default=None, description="When it is due.", examples=[A_TIME])
    next_times: list[Any] = Field(
        description="When it is due next; of one that is paused, if it were resumed now.",
        examples=[[A_TIME]],
    )
    last_fired_at: Any = None
    last_ids: Any = Field(default=None, description="Of the latest requests that came of it.")
    last_error: Any = Field(default=None, description="Why nothing came of the last due time.")
    fired: Any = Field(default=None, description="How many requests came of it.")


class ScheduleAnswer(ScheduleBrief):
    """A schedule."""

    request: Any = None


class SchedulePage(Shape):
    """A page of schedules, by name."""

    items: list[ScheduleBrief]
    next: str | None = Field(description="What to send as `cursor` for the next page.")


class ScheduleRun(Shape):
    """A schedule's request was asked for."""

    id: str = Field(description="Of the request.", examples=[AN_ID])


class DueTime(Shape):
    """When a schedule is due."""

    at: str = Field(examples=[A_TIME])
    local: str = Field(
        description="In the schedule's own time zone.", examples=["2030-01-31T13:00:00+01:00"]
    )


class NextTimes(Shape):
    """When a schedule is due next."""

    timezone: str = Field(examples=["Europe/Berlin"])
    items: list[DueTime]
