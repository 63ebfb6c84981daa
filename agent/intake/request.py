"""A request: what it may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from agent.durations import PATTERN as KEPT_PATTERN
from agent.durations import Kept, read_kept
from agent.errors import RequestInvalid
from agent.intake.rules import MAX_ATTEMPTS
from agent.intake.templates import INLINE
from agent.intake.values import as_date, is_urgent, problem_of
from agent.models import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY
from agent.webhooks import MAX_URL


def _read_date(value: object) -> object:
    if value is None:
        return None
    read = as_date(value)
    if read is None:
        raise ValueError("must be a date, or an ISO 8601 string")
    return read


Date = Annotated[AwareDatetime, BeforeValidator(_read_date)]
"""A date, or an ISO 8601 string; one without a zone is UTC."""


Key = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]
"""A key of a request: what can be seen of ASCII, without spaces."""


def _check_kept(value: int | str) -> int | str:
    read_kept(value)
    return value


Retention = Annotated[
    int | Annotated[str, Field(pattern=KEPT_PATTERN)],
    Field(description="`30d`, `12h` or seconds, a minute at least; or `never`."),
    AfterValidator(_check_kept),
]
"""How long something is kept."""


class InlineTemplate(BaseModel):
    """A template that comes with its request: of one service, or of steps."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(default=INLINE, min_length=1)
    service_type: str | None = None
    service_template: dict[str, Any] | None = None
    steps: list[dict[str, Any]] | None = None
    parameters: list[dict[str, Any]] | None = None


class Request(BaseModel):
    """What somebody asks for. The template is named or comes along, or the purpose has it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = None
    purpose_id: str | None = None
    template_id: str | None = None
    template_version: str | None = None
    template: InlineTemplate | None = None
    user_id: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    priority: int = Field(default=DEFAULT_PRIORITY, ge=HIGHEST_PRIORITY, le=LOWEST_PRIORITY)
    available_at: Date | None = None
    deadline_at: Date | None = None
    tags: dict[str, Any] | list[str] = Field(default_factory=dict)
    max_attempts: int | None = Field(default=None, ge=1, le=MAX_ATTEMPTS)
    idempotency_key: Key | None = None
    """Of this submission: what comes again under it within a day is this request."""
    retention: Retention | None = None
    """How long it is kept once it is final, however it ends."""
    unique_key: Key | None = None
    """Of what is asked for: while one request that has it is not finished, there is no other."""

    callback_url: str | None = Field(default=None, min_length=1, max_length=MAX_URL)
    """Where its end is told; on a host of `AGENT_WEBHOOK_HOSTS`."""

    @property
    def kept(self) -> Kept | None:
        """How long it is kept; None as the settings say."""
        return None if self.retention is None else read_kept(self.retention)

    @property
    def urgent(self) -> bool:
        return is_urgent({"data": self.data, "metadata": self.metadata})


def read_request(body: Mapping[str, Any]) -> Request:
    """The request that a parsed body holds.

    Raises:
        RequestInvalid: every problem is named, with its field.
    """
    return read_as(Request, body, "the request")


Read = TypeVar("Read", bound=Request)


def read_as(kind: type[Read], body: Mapping[str, Any], whole: str) -> Read:
    """What a parsed body holds.

    Args:
        whole: what people call it.

    Raises:
        RequestInvalid: every problem is named, with its field.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        raise RequestInvalid("; ".join(problem_of(each, whole) for each in errors)) from None
