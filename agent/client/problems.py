"""Which problem becomes which error. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent.client.calls import Change
from agent.client.errors import (
    AgentClientError,
    Conflict,
    KeyReused,
    NotAllowed,
    NotFound,
    RequestRefused,
    UnexpectedAnswer,
)
from agent.client.events import FINAL

OF_STATUSES: dict[int, type[AgentClientError]] = {
    400: RequestRefused, 401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict,
    408: RequestRefused, 413: RequestRefused, 415: RequestRefused, 422: RequestRefused,
}  # fmt: skip
IN_PROGRESS = "/problems/in-progress"
KEY_REUSED = "/problems/key-reused"


def error_of_problem(problem: Mapping[str, Any]) -> AgentClientError:
    """The error that tells a problem of RFC 9457."""
    type_, status = str(problem.get("type") or ""), int(problem["status"])
    about: dict[str, Any] = {
        "type": type_, "title": str(problem.get("title") or ""), "status": status,
    }  # fmt: skip
    detail = str(problem.get("detail") or "")
    kind = KeyReused if type_.endswith(KEY_REUSED) else OF_STATUSES.get(status, UnexpectedAnswer)
    if issubclass(kind, RequestRefused):
        about["errors"] = problem.get("errors") or ()
    return kind(detail, **about)


def error_of_reply(status: int, content: bytes, where: str) -> AgentClientError:
    """The error of a reply that is no success."""
    problem = read_object(content)
    if problem is not None and isinstance(problem.get("title"), str):
        return error_of_problem({**problem, "status": status})
    return UnexpectedAnswer(
        f"{where} answered {status}, and not as the agent does; is this its address?",
        status=status,
    )


def is_in_progress(status: int, content: bytes) -> bool:
    """Whether the same is being stored just now."""
    problem = read_object(content) if status == 409 else None
    return problem is not None and str(problem.get("type")).endswith(IN_PROGRESS)


def read_object(content: bytes) -> dict[str, Any] | None:
    """The JSON object that a body holds; None if it holds none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def check_changed(
    call: Change, answer: dict[str, Any], conflict: AgentClientError
) -> dict[str, Any]:
    """The answer, if it is what a change of which nothing was heard comes to.

    Raises:
        Conflict: it is not.
    """
    final = answer.get("status") in FINAL
    if (answer.get("status") == "cancelled") if call.verb == "cancel" else not final:
        return answer
    raise conflict
