"""`agent dead`: what failed, by kind."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from agent.cli.arguments import read_past
from agent.cli.opened import opened
from agent.cli.options import AsJson, OfService
from agent.cli.output import add_row, console, id_word, new_table, note, say, say_json
from agent.cli.selecting import service_name, since_option
from agent.words import ago, visible

if TYPE_CHECKING:
    from agent.store.dead_letters import DeadLetterList, DeadLetters

COLUMNS = ("kind", "service", "count", "first", "last", "example", "error")
NARROW_COLUMNS = ("kind", "service", "count", "last", "error")
NARROW = 110


def dead(
    *,
    service: OfService = None,
    since: Annotated[str | None, since_option("failed")] = None,
    as_json: AsJson = False,
) -> None:
    """List what failed by kind: the service, and the error without what differs from one to the
    next.

    agent retry --all --kind KIND begins all of a kind anew.
    """
    with opened() as found:
        now = found.repository.now()
        listed = found.repository.dead_letters(
            service_type=service_name(found, service) if service is not None else None,
            since=read_past("--since", since, now) if since is not None else None,
        )
    if as_json:
        say_json({"kinds": [asdict(each) for each in listed.kinds],
                  "is_complete": listed.is_complete})  # fmt: skip
    elif not listed.kinds:
        say("nothing failed")
    else:
        _print(listed, now)


def _print(listed: DeadLetterList, now: datetime) -> None:
    out = console()
    columns = COLUMNS if out.width >= NARROW else NARROW_COLUMNS
    table = new_table(columns, right=("count", "first", "last"))
    rows = [_cells(each, columns, now) for each in listed.kinds]
    for position, column in enumerate(table.columns[:-1]):  # the error has what they leave
        column.min_width = min(max(len(row[position]) for row in rows), 30)
    table.columns[-1].no_wrap = True
    table.columns[-1].overflow = "ellipsis"
    for row in rows:
        add_row(table, *row)
    out.print(table)
    if not listed.is_complete:
        note("there are more kinds; --service narrows the list")


def _cells(each: DeadLetters, columns: tuple[str, ...], now: datetime) -> list[str]:
    cells = {
        "kind": each.kind,
        "service": each.service_type or "?",
        "count": f"{each.count:,}" if each.is_exact else f">{each.count:,}",
        "first": ago(each.first_at, now),
        "last": ago(each.last_at, now),
        "example": id_word(each.example_id),
        "error": ": ".join(word for word in (each.error_type, each.message) if word),
    }
    return [visible(cells[column]) for column in columns]
