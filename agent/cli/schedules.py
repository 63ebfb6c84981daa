"""`agent schedules`: requests that are asked for again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import read_duration, read_object, read_time
from agent.cli.exits import EPILOG
from agent.cli.opened import Opened, opened
from agent.cli.options import AsJson
from agent.cli.output import add_row, console, new_table, note, say, say_json
from agent.words import ago, moment, visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from agent.intake.schedules import Schedules
    from agent.models import Document

PAGE = 100

app = typer.Typer(help="Schedules: requests that come again and again.", no_args_is_help=True,
                  rich_markup_mode=None)  # fmt: skip

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the schedule.")]


@app.callback()
def schedules() -> None:
    """Schedules: requests that are asked for again and again, each once for each due time."""


@app.command("add", epilog=EPILOG)
def add(
    name: Name,
    *,
    request: Annotated[
        str,
        typer.Option(
            metavar="JSON", help="The request, as of the API: JSON, @file, or - for stdin."
        ),
    ],
    cron: Annotated[
        str | None,
        typer.Option(
            metavar="LINE",
            help="Minute, hour, day, month, weekday, as in crontab(5): '30 7 * * mon-fri'.",
            show_default=False,
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="Of the --cron line, such as Europe/Berlin; UTC if not said.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="In place of --cron: 90s, 15m, 2h or 1d.", show_default=False
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The first time of --every, which it is counted from: 2030-01-31T12:00:00Z, or "
            "+15m.",
            show_default=False,
        ),
    ] = None,
    catch_up: Annotated[
        str | None,
        typer.Option(
            metavar="none|one|all",
            help="What becomes of due times that pass while nothing runs; one if not said.",
            show_default=False,
        ),
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Store it, and have it wait.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of the one of this name.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Store a schedule. The bridge fires it, or workers that run alone."""
    from agent.intake.schedules import read_schedule

    asked: dict[str, Any] = {
        "name": name,
        "request": read_object("--request", request),
        "cron": cron,
        "timezone": timezone,
        "every_seconds": read_duration("--every", every).total_seconds() if every else None,
        "catch_up": catch_up,
    }
    with opened() as found:
        asked["start_at"] = read_time("--start", start, found.repository.now()) if start else None
        given = {key: value for key, value in asked.items() if value is not None}
        schedule = read_schedule({**given, "paused": paused})
        stored = _schedules(found).add(schedule, replace=replace)
        _ring(found)
    if as_json:
        say_json(stored)
    else:
        say(f"{name} {_state(stored)}")


@app.command("list", epilog=EPILOG)
def list_schedules(*, as_json: AsJson = False) -> None:
    """List the stored schedules by name."""
    with opened() as found:
        stored = list(_all(found))
        now = found.repository.now()
    if as_json:
        say_json(stored)
        return
    if not stored:
        say("no schedule is stored")
        return
    table = new_table(("name", "due", "next", "last", "fired"), right=("fired",))
    for each in stored:
        state = "paused" if each.get("paused") else ago(each.get("next_at"), now)
        last = ago(each.get("last_fired_at"), now)
        add_row(table, each["_id"], _rule(each), state, last, each.get("fired", 0))
        if each.get("last_error"):
            note(f"{each['_id']}: {each['last_error']}")
    console().print(table)


@app.command("show", epilog=EPILOG)
def show(name: Name, *, as_json: AsJson = False) -> None:
    """Show a schedule: when it is due, its request, and what last came of it."""
    with opened() as found:
        stored = _schedules(found).find(name)
    if as_json:
        say_json(stored)
        return
    from agent.store.ejson import to_json

    ids = stored.get("last_ids")
    lines = {
        "due": _rule(stored),
        "catch up": stored.get("catch_up"),
        "next": _state(stored),
        "last": moment(stored.get("last_fired_at")),
        "fired": stored.get("fired", 0),
        "error": stored.get("last_error"),
        "request": to_json(stored.get("request")),
        "contexts": " ".join(map(str, ids)) if isinstance(ids, list) else None,
    }
    for title, value in {"name": name, **lines}.items():
        if value not in (None, ""):
            say(visible(f"{title:<9} {value}"))


@app.command("pause", epilog=EPILOG)
def pause(name: Name, *, as_json: AsJson = False) -> None:
    """Have a schedule not be due until it is resumed."""
    with opened() as found:
        _schedules(found).pause(name)
    _say_done(name, "is paused", {"name": name, "paused": True}, as_json)


@app.command("resume", epilog=EPILOG)
def resume(name: Name, *, as_json: AsJson = False) -> None:
    """End a schedule's pause. What was due meanwhile is left out."""
    with opened() as found:
        stored = _schedules(found).resume(name)
        _ring(found)
    done = {"name": name, "paused": False, "next_at": stored.get("next_at")}
    _say_done(name, _state(stored), done, as_json)


@app.command("remove", epilog=EPILOG)
def remove(name: Name, *, as_json: AsJson = False) -> None:
    """Forget a schedule. What came of it stays."""
    with opened() as found:
        _schedules(found).remove(name)
    _say_done(name, "is removed", {"name": name, "removed": True}, as_json)


@app.command("run", epilog=EPILOG)
def run(name: Name, *, as_json: AsJson = False) -> None:
    """Ask for a schedule's request now, beside its due times; print the context's id."""
    with opened() as found:
        context_id = _schedules(found).run_now(name)
        found.ring()
    if as_json:
        say_json({"name": name, "_id": context_id})
    else:
        say(context_id)


@app.command("next", epilog=EPILOG)
def next_times(
    name: Name,
    *,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=1000, help="How many.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show when a schedule is due next, in UTC and in its own time zone."""
    with opened() as found:
        service = _schedules(found)
        stored = service.find(name)
        times = service.next_times(name, count)
    if as_json:
        say_json(times)
        return
    for each in times:
        say(f"{moment(each)}{_local(each, stored)}")


def _local(time: datetime, stored: Document) -> str:
    from agent.intake.cron import zone_of

    zone = str(stored.get("timezone"))
    if stored.get("cron") is None or zone == "UTC":
        return ""
    return f"  {time.astimezone(zone_of(zone)):%a %Y-%m-%d %H:%M:%S} {zone}"


def _schedules(found: Opened) -> Schedules:
    from agent.intake.schedules import Schedules

    return Schedules.of(found.repository)


def _all(found: Opened) -> Iterator[Document]:
    after = ""
    while page := found.repository.list_schedules(PAGE, after=after):
        yield from page
        after = page[-1]["_id"]


def _ring(found: Opened) -> None:
    from agent.projections.doorbell import SCHEDULES

    found.ring(SCHEDULES)


def _rule(stored: Document) -> str:
    if stored.get("cron") is not None:
        return f"{stored['cron']} ({stored.get('timezone')})"
    return f"every {stored.get('every_seconds', '?')} s since {moment(stored.get('start_at'))}"


def _state(stored: Document) -> str:
    if stored.get("paused"):
        return "is paused"
    next_at = stored.get("next_at")
    return "is never due any more" if next_at is None else f"is due at {moment(next_at)}"


def _say_done(name: str, what: str, done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(done)
    else:
        say(f"{name} {what}")
