"""A request: what it may say, and how it becomes a context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agent.errors import RequestInvalid
from agent.intake.context_manager import ContextManager
from agent.intake.rules import MAX_ATTEMPTS
from agent.intake.templates import INLINE, TemplateSource, read_template
from agent.intake.values import as_date, is_urgent
from agent.models import (
    DEFAULT_PRIORITY,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    RequestData,
    Template,
    new_id,
)
from agent.services import ServiceRegistry


def _read_date(value: object) -> object:
    if value is None:
        return None
    read = as_date(value)
    if read is None:
        raise ValueError("must be a date, or an ISO 8601 string")
    return read


Date = Annotated[AwareDatetime, BeforeValidator(_read_date)]
"""A date, or an ISO 8601 string; one without a zone is UTC."""


class InlineTemplate(BaseModel):
    """A template that comes with its request."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(default=INLINE, min_length=1)
    service_type: str
    service_template: dict[str, Any]


class Request(BaseModel):
    """What somebody asks for. The template is named, or comes along."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = None
    purpose_id: str | None = None
    template_id: str | None = None
    template: InlineTemplate | None = None
    user_id: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    priority: int = Field(default=DEFAULT_PRIORITY, ge=HIGHEST_PRIORITY, le=LOWEST_PRIORITY)
    available_at: Date | None = None
    deadline_at: Date | None = None
    tags: dict[str, Any] | list[str] = Field(default_factory=dict)
    max_attempts: int | None = Field(default=None, ge=1, le=MAX_ATTEMPTS)

    @property
    def urgent(self) -> bool:
        return is_urgent({"data": self.data, "metadata": self.metadata})


def read_request(body: Mapping[str, Any]) -> Request:
    """The request that a parsed body holds.

    Raises:
        RequestInvalid: every problem is named, with its field.
    """
    try:
        return Request.model_validate(body)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        raise RequestInvalid("; ".join(_problem(error) for error in errors)) from None


class RequestService:
    """Turns requests into contexts: finds the template, then asks the `ContextManager`."""

    def __init__(
        self, context_manager: ContextManager, templates: TemplateSource, registry: ServiceRegistry
    ) -> None:
        self._context_manager = context_manager
        self._templates = templates
        self._registry = registry

    def submit(self, request: Request, *, source: str = "api") -> str:
        """Store one request as a context; the id of the context.

        Raises:
            RequestInvalid: it cannot become a context; every problem is named.
            StoreUnavailable: MongoDB did not answer. Whether it was stored is open.
        """
        context = self._context_manager.create_service_context(
            self._template_of(request),
            RequestData(
                id=new_id("req"),
                text=request.text,
                user_id=request.user_id,
                purpose_id=request.purpose_id,
                data=request.data,
                metadata=request.metadata,
            ),
            priority=HIGHEST_PRIORITY if request.urgent else request.priority,
            available_at=request.available_at,
            deadline_at=request.deadline_at,
            tags=request.tags,
            max_attempts=request.max_attempts,
            source=source,
        )
        return str(context.id)

    def _template_of(self, request: Request) -> Template:
        problems = _contradictions(request)
        template: Template | None = None
        try:
            if request.template is not None:
                template = read_template(dict(request.template), self._registry)
            elif request.template_id is not None:
                template = self._templates.resolve(request.template_id)
        except RequestInvalid as exc:
            if not problems:
                raise
            problems.append(str(exc))
        if problems or template is None:
            raise RequestInvalid("; ".join(problems))
        return template


def _contradictions(request: Request) -> list[str]:
    problems: list[str] = []
    if request.purpose_id is not None:
        problems.append("`purpose_id`: purposes are not built yet; name a `template_id`")
    elif request.template_id is None and request.template is None:
        problems.append("no template: give a `template_id`, or a `template`")
    if request.template_id is not None and request.template is not None:
        problems.append("`template_id` and `template`: give one of them, not both")
    start, end = request.available_at, request.deadline_at
    if start is not None and end is not None and end <= start:
        problems.append("`deadline_at` is not after `available_at`")
    return problems


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the request"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"`{where}`: {message}"
