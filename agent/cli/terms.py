"""`agent priority`, `postpone` and `deadline`: other terms for what is not final."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from agent.cli.arguments import read_time
from agent.cli.exits import FAILED
from agent.cli.opened import Opened, for_each, opened
from agent.cli.options import AsJson, Ids
from agent.cli.output import id_word, say, say_json
from agent.errors import RequestInvalid
from agent.words import moment

NEVER = "none"


def priority(
    ids: Ids,
    level: Annotated[
        int,
        typer.Argument(metavar="N", min=1, max=10, help="1 goes first, 10 last."),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Give contexts that are not final another priority; of a request all of its steps. What runs
    already goes on."""
    with opened() as found:

        def change(context_id: Any) -> object:
            return found.repository.prioritise(context_id, level)

        _each(found, ids, change, {"priority": level}, f"priority {level}", as_json=as_json)


def postpone(
    ids: Ids,
    time: Annotated[
        str,
        typer.Argument(
            metavar="TIME", help="Not before then: 2030-01-31T12:00:00Z, or +15m for in 15 minutes."
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Let scheduled contexts wait until another time, later or sooner; of a request all of its
    scheduled steps. agent run-now lets them wait no longer."""
    with opened() as found:
        now = found.repository.now()
        until = read_time("TIME", time, now)
        if until <= now:
            raise RequestInvalid(f"TIME: {time!r} does not lie ahead; see agent run-now")

        def change(context_id: Any) -> object:
            return found.repository.postpone(context_id, until)

        told = f"waits until {moment(until)}"
        _each(found, ids, change, {"available_at": until}, told, as_json=as_json)


def deadline(
    ids: Ids,
    time: Annotated[
        str,
        typer.Argument(
            metavar="TIME",
            help="What has not begun by then fails: 2030-01-31T12:00:00Z, or +2h; or none.",
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Give contexts that are not final another deadline, or none; of a request all of its steps.
    What runs already goes on."""
    with opened() as found:
        now = found.repository.now()
        end = None if time == NEVER else read_time("TIME", time, now)
        if end is not None and end <= now:
            raise RequestInvalid(f"TIME: {time!r} has passed; agent cancel ends it at once")

        def change(context_id: Any) -> object:
            return found.repository.set_deadline(context_id, end)

        told = "has no deadline" if end is None else f"has to begin by {moment(end)}"
        _each(found, ids, change, {"deadline_at": end}, told, as_json=as_json)


def _each(
    found: Opened,
    ids: list[str],
    change: Callable[[Any], object],
    terms: dict[str, object],
    told: str,
    *,
    as_json: bool,
) -> None:
    """Change each of these, and say so; the command fails if one of them could not be changed."""
    changed: list[object] = []

    def act(word: str) -> None:
        context_id = found.find(word)
        change(context_id)
        changed.append(context_id)
        if not as_json:
            say(f"{id_word(context_id)} {told}")

    fine = for_each(ids, act)
    found.ring()
    if as_json:
        say_json({"changed": changed, **terms})
    if not fine:
        raise typer.Exit(FAILED)
