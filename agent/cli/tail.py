"""`agent tail`: a line for each change, as it happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import read_status
from agent.cli.exits import FAILED, FINE, explain
from agent.cli.opened import Opened, opened
from agent.cli.options import AsJson, OfService
from agent.cli.output import id_word, note, say
from agent.cli.selecting import OfStatus, service_name
from agent.errors import RequestInvalid
from agent.words import moment, visible

if TYPE_CHECKING:
    from agent.cli.following import Following, Told
    from agent.errors import StoreUnavailable
    from agent.models import Document

WIDEST = 40


def tail(
    context_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="Of a request or a context; without it all contexts are followed.",
            show_default=False,
        ),
    ] = None,
    *,
    service: OfService = None,
    status: OfStatus = None,
    as_json: AsJson = False,
) -> None:
    """Follow a request and its steps until it is final: a line for each change, as it happens.
    Exit code 0 if it was completed, 1 if not.

    Without an ID follow all contexts until Ctrl-C, those of a --service or in a --status alone.
    --json prints one object a line, as the events of the API have them.
    """
    if context_id is not None and (service or status):
        raise RequestInvalid("--service and --status: go without an ID only")
    with opened() as found:
        if context_id is None:
            _tail_all(found, service, status, as_json=as_json)
        code = _tail_one(found, str(context_id), as_json=as_json)
    raise typer.Exit(code)


def _tail_one(found: Opened, word: str, *, as_json: bool) -> int:
    from agent.models import Status

    context_id = found.find(word)
    last = None
    for told in _following(found).one(context_id):
        _tell(told, as_json=as_json)
        if told.state["_id"] == context_id:
            last = told.state.get("status")
    return FINE if last == Status.COMPLETED else FAILED


def _tail_all(found: Opened, service: str | None, status: str | None, *, as_json: bool) -> None:
    changes = _following(found).all(
        service_type=service_name(found, service) if service is not None else None,
        status=read_status("--status", status) if status is not None else None,
    )
    for told in changes:
        _tell(told, as_json=as_json)


def _following(found: Opened) -> Following:
    from agent.cli.following import Following

    return Following(found.repository, on_outage=_tell_outage)


def _tell_outage(exc: StoreUnavailable) -> None:
    note(f"{explain(exc)}; waiting for it")


def _tell(told: Told, *, as_json: bool) -> None:
    if as_json:
        from agent.rendering import to_bytes

        say(to_bytes({**told.answer, "service": told.state.get("service_type")}).decode())
    else:
        say(line_of(told))


def line_of(told: Told) -> str:
    """A change in one line: when, which, and what it is now."""
    state, answer = told
    which = answer["key"] or id_word(state["_id"])
    service = str(state.get("service_type", "?"))
    words = [moment(state.get("updated_at")), which, service, answer["status"], _about(told)]
    return visible("  ".join(word for word in words if word))


def _about(told: Told) -> str:
    return ", ".join(_remarks(*told))


def _remarks(state: Document, answer: Document) -> Iterator[str]:
    error: Any = answer["error"]
    if state.get("kind") == "parent":
        progress = answer["progress"] if state.get("results") else {}  # else nobody has counted yet
        if progress:
            yield f"{progress.get('processed')} of {progress.get('total')}"
        if progress.get("failed"):
            yield f"{progress['failed']} failed"
    elif answer["attempt"]:
        yield f"call {answer['attempt']}"
    if answer["status"] == "scheduled":
        yield f"{state.get('wait_reason')} until {moment(state.get('available_at'))}"
    if error is not None:
        yield f"{error.get('type')}: {error.get('message')}"
