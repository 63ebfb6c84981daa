"""`agent pause` and `agent resume`: no calls for a service, for a time or until further notice."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.arguments import read_duration
from agent.cli.opened import opened
from agent.cli.options import AsJson, ServiceName
from agent.cli.output import say, say_json
from agent.errors import RequestInvalid
from agent.words import moment


def pause(
    service: ServiceName,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; others will read it.")],
    seconds: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="SECONDS",
            help="How long, as 90, 15m or 2h; without it until it is resumed.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a service no more calls. Its contexts wait; none of them fails or loses an attempt."""
    from agent.store.services import OPERATOR

    span = read_duration("--for", seconds) if seconds is not None else None
    with opened() as found:
        name = found.service(service).name
        try:
            until = found.repository.now() + span if span is not None else None
        except OverflowError:
            raise RequestInvalid(f"--for: {seconds!r} is too long") from None
        found.repository.pause_service(name, by=OPERATOR, reason=reason, until=until)
        found.ring()
    if as_json:
        say_json({"service": name, "by": OPERATOR, "reason": reason, "until": until})
    else:
        end = f"until {moment(until)}" if until is not None else f"until agent resume {name}"
        say(f"{name} is paused {end}")


def resume(service: ServiceName, *, as_json: AsJson = False) -> None:
    """End a service's pause at once, whoever made it."""
    with opened() as found:
        name = found.service(service).name
        was_paused = found.repository.resume_service(name)
        found.ring()
    if as_json:
        say_json({"service": name, "was_paused": was_paused})
    else:
        say(f"{name} is open again" if was_paused else f"{name} was not paused")
