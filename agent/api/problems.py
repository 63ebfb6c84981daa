"""What went wrong, as RFC 9457 has it: the form of every error, and which error becomes which."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from agent.api import problem_kinds as kinds
from agent.api.problem_kinds import KINDS, Kind
from agent.errors import (
    AgentError,
    AlreadyStored,
    BrokerUnavailable,
    ContextNotFound,
    ContextUnreadable,
    IdempotencyKeyReused,
    IllegalTransition,
    NotStorable,
    RequestInvalid,
    ScheduleNotFound,
    StillInProgress,
    StoreUnavailable,
)
from agent.logs import get_logger, mask_secrets
from agent.rendering import to_bytes
from agent.words import shortened

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
MOST_ERRORS = 20
LONGEST_DETAIL = 2000

OF_ERRORS: tuple[tuple[type[AgentError], Kind], ...] = (
    (ContextNotFound, kinds.NOT_FOUND),
    (ScheduleNotFound, kinds.NOT_FOUND),
    (IllegalTransition, kinds.CONFLICT),
    (AlreadyStored, kinds.CONFLICT),
    (StillInProgress, kinds.IN_PROGRESS),
    (IdempotencyKeyReused, kinds.KEY_REUSED),
    (RequestInvalid, kinds.REFUSED),
    (NotStorable, kinds.REFUSED),
    (ContextUnreadable, kinds.REFUSED),
    (StoreUnavailable, kinds.UNAVAILABLE),
    (BrokerUnavailable, kinds.UNAVAILABLE),
)
"""The first that fits; any other error of ours is a bug."""
OF_STATUSES = {404: kinds.NOT_FOUND, 405: kinds.METHOD_NOT_ALLOWED, 413: kinds.TOO_LARGE}

log = get_logger()


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["body.priority"])
    message: str = Field(examples=["Input should be less than or equal to 10"])


class ProblemDetails(BaseModel):
    """An error, by RFC 9457."""

    type: str = Field(description="Which kind; the page behind it explains it.",
                      examples=["/problems/invalid"])  # fmt: skip
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldError] | None = None


class Problem(Exception):
    """Raised by a route to end with this problem."""

    def __init__(
        self, kind: Kind, detail: str | None = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers = kind, detail, headers


def problem(
    kind: Kind,
    detail: str | None = None,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The reply that tells a problem."""
    body: dict[str, Any] = {"type": kind.type, "title": kind.title, "status": kind.status}
    if detail:
        body["detail"] = shortened(detail, LONGEST_DETAIL)
    if errors:
        body["errors"] = errors
    more = dict(headers or {})
    if kind is kinds.UNAVAILABLE:
        more.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    elif kind is kinds.IN_PROGRESS:
        more.setdefault("Retry-After", "1")
    return Response(to_bytes(body), kind.status, more, MEDIA_TYPE)


def documented(*of: Kind) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the replies of a route that are problems; those of every route come along."""
    everywhere = (kinds.KEY_NEEDED, kinds.SCOPE_MISSING, kinds.TOO_MANY, kinds.INVALID,
                  kinds.UNAVAILABLE)  # fmt: skip
    names: dict[int, list[str]] = {}
    for kind in (*everywhere, *of):
        names.setdefault(kind.status, []).append(f"`{kind.name}`: {kind.title}")
    schema = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}
    return {
        status: {
            "description": "; ".join(dict.fromkeys(told)),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, told in sorted(names.items())
    }


def tell_problems(app: FastAPI) -> None:
    """Have every error of the application end as a problem, and serve the pages of all kinds."""
    app.add_exception_handler(Problem, _raised)
    app.add_exception_handler(AgentError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)

    @app.get(kinds.PREFIX + "{name}", include_in_schema=False)
    async def explain(name: str) -> Response:
        kind = KINDS.get(name)
        return _explained([kind]) if kind else problem(kinds.NOT_FOUND, "no such kind of problem")

    @app.get(kinds.PREFIX, include_in_schema=False)
    async def explain_all() -> Response:
        return _explained(KINDS.values())


def _explained(of: Iterable[Kind]) -> Response:
    parts = "".join(
        f"<h1>{kind.title}</h1><p><code>{kind.type}</code>, {kind.status}</p>"
        f"<p>{_html(kind.what)}</p><p><em>What to do:</em> {_html(kind.remedy)}</p>"
        for kind in of
    )
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        'content="light dark"><title>Problems</title><link rel="icon" href="data:,">'
    )
    return HTMLResponse(f"{head}{parts}</html>")


def _html(text: str) -> str:
    """Markdown as a page shows it: code, and links to files of `docs`, which are not here."""
    linkless = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", html.escape(text, quote=False))
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", linkless)


async def _raised(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Problem)
    return problem(exc.kind, exc.detail, headers=exc.headers)


async def _ours(request: Request, exc: Exception) -> Response:
    kind = next((kind for error, kind in OF_ERRORS if isinstance(exc, error)), kinds.INTERNAL)
    if kind is kinds.UNAVAILABLE:
        log.warning("api.unavailable", path=request.url.path, error=mask_secrets(str(exc)))
        return problem(kind, "a server that is needed does not answer")
    if kind is kinds.INTERNAL:
        return await _unexpected(request, exc)
    return problem(kind, mask_secrets(str(exc)))


async def _unexpected(request: Request, exc: Exception) -> Response:
    log.error("api.bug", path=request.url.path, error=f"{type(exc).__name__}: {exc}", exc_info=exc)
    return problem(kinds.INTERNAL)


async def _http(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    kind = OF_STATUSES.get(exc.status_code, kinds.INVALID)
    return problem(kind, str(exc.detail), headers=exc.headers)


async def _invalid(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    found = exc.errors()
    errors = [
        {"field": shortened(".".join(map(str, each["loc"])), 200), "message": _message(each)}
        for each in found[:MOST_ERRORS]
    ]
    more = len(found) - len(errors)
    detail = "; ".join(f"`{each['field']}`: {each['message']}" for each in errors)
    return problem(
        kinds.INVALID, detail + (f"; and {more} more" if more > 0 else ""), errors=errors
    )


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return f"is no JSON: {error['ctx']['error']}"
    return shortened(str(error["msg"]).removeprefix("Value error, "), 300)
