"""`agent submit`: one request in, the id of its context out."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import check_times, read_object, read_tags, read_time
from agent.cli.exits import FAILED, FINE, TIMED_OUT
from agent.cli.opened import OWNER, Opened, opened
from agent.cli.options import AsJson, NotBefore, Priority, Tags
from agent.cli.output import note, say, say_json
from agent.errors import RequestInvalid

if TYPE_CHECKING:
    from agent.intake.submissions import Submitted
    from agent.models import Document

FIRST_LOOK_SECONDS = 0.05
LONGEST_LOOK_SECONDS = 1.0


def submit(
    *,
    template: Annotated[
        str | None, typer.Option(metavar="ID", help="A stored template.", show_default=False)
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(metavar="SERVICE", help="A service type, for a --body.", show_default=False),
    ] = None,
    body: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help="The service template itself: JSON, @file, or - for stdin.",
            show_default=False,
        ),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="A stored purpose, which has a template; else the --text chooses one.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="The request's data: JSON, @file, or -.", show_default=False
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="The request's text.", show_default=False)
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="For whom.", show_default=False)
    ] = None,
    priority: Priority = None,
    at: NotBefore = None,
    deadline: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Fail if it has not begun by then.", show_default=False),
    ] = None,
    tag: Tags = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Of this submission: sent again under it within 24 hours it makes nothing new, "
            "and prints the same id.",
            show_default=False,
        ),
    ] = None,
    unique_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Of what is asked for: while a request that has it is not final, its id is "
            "printed, and nothing new is made.",
            show_default=False,
        ),
    ] = None,
    callback: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where its end is told, on a host of AGENT_WEBHOOK_HOSTS.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="[SECONDS]",
            min=0,
            help="Wait until it is final, so long at most; without a number for as long as it "
            "takes.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store a request as a context, and print the context's id; of a request of several steps that
    of the whole.

    Name a stored template with --template, or a --purpose, or give --service and --body; without
    any of them the keywords in --text choose a purpose. MongoDB is enough: while Redis is away the
    bridge finds the context at its next look.
    """
    asked: dict[str, Any] = {
        "template_id": template,
        "purpose_id": purpose,
        "template": _inline(service, body),
        "data": read_object("--data", data) if data is not None else None,
        "text": text,
        "user_id": user,
        "callback_url": callback,
        "priority": priority,
        "tags": read_tags(tag) if tag else None,
        "idempotency_key": idempotency_key,
        "unique_key": unique_key,
    }
    if body == data == "-":
        raise RequestInvalid("--body and --data: only one of them can be read from stdin")
    if idempotency_key is not None:
        check_times({"--at": at, "--deadline": deadline})
    with opened() as found:
        now = found.repository.now()
        asked["available_at"] = read_time("--at", at, now) if at else None
        asked["deadline_at"] = read_time("--deadline", deadline, now) if deadline else None
        given = {name: value for name, value in asked.items() if value is not None}
        code = _follow(found, _store(found, given), wait, as_json)
    raise typer.Exit(code)


def _inline(service: str | None, body: str | None) -> dict[str, Any] | None:
    """The template that comes along, if one does.

    Raises:
        RequestInvalid: one of its two parts is missing.
    """
    if service is None and body is None:
        return None
    if service is None or body is None:
        raise RequestInvalid("--service and --body: give both, or a --template")
    return {"service_type": service, "service_template": read_object("--body", body)}


def _store(found: Opened, asked: dict[str, Any]) -> Submitted:
    from agent.intake.request_service import RequestService, read_request
    from agent.intake.submissions import Submissions

    service = RequestService.of(found.repository, found.templates(), found.settings)
    submitted = Submissions(service, found.repository).submit(
        read_request(asked), owner=OWNER, source="cli"
    )
    found.ring()
    return submitted


def _follow(found: Opened, submitted: Submitted, wait: float | None, as_json: bool) -> int:
    """Print what there is to say, and how the command ends."""
    context_id = submitted.id
    if submitted.existing:
        note(f"nothing new: {context_id} has this unique key, and is not final")
    if not as_json:
        say(context_id)
    if wait is None:
        if as_json:
            say_json({"_id": context_id, "existing": submitted.existing})
        return FINE
    document = _wait(found, context_id, wait)
    if as_json:
        say_json(document)
    return _outcome(document, context_id, wait, quiet=as_json)


def _wait(found: Opened, context_id: str, seconds: float) -> Document:
    """The context once it is final, or as it is when the time is over."""
    from agent.models import FINAL

    deadline, pause = time.monotonic() + seconds, FIRST_LOOK_SECONDS
    while found.repository.find_status(context_id) not in FINAL:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        threading.Event().wait(min(pause, left))
        pause = min(pause * 1.3, LONGEST_LOOK_SECONDS)
    return found.repository.find_context(context_id)


def _outcome(document: Document, context_id: str, wait: float, *, quiet: bool) -> int:
    from agent.cli.show import results_of
    from agent.models import FINAL, Status
    from agent.words import visible

    status = document.get("status")
    if status not in FINAL:
        note(f"{status} after {wait:g} s; see agent show {context_id}")
        return TIMED_OUT
    if status != Status.COMPLETED:
        error = document.get("error") or {}
        why = f": {error.get('type')}, {error.get('message')}" if error else ""
        note(f"{status}{why}")
        return FAILED
    if not quiet:
        for line in results_of(document):
            say(visible(line))
    return FINE
