"""`agent list`: the newest contexts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import read_past, read_status, read_tag
from agent.cli.opened import opened
from agent.cli.options import AsJson, OfError, OfKind, OfService, OfTag
from agent.cli.output import add_row, console, id_word, new_table, say, say_json
from agent.cli.selecting import since_option
from agent.words import ago, visible

if TYPE_CHECKING:
    from agent.models import Document

LONGEST_LIST = 1000
COLUMNS = ("id", "service", "status", "calls", "age", "note")
NARROW_COLUMNS = ("id", "service", "status", "note")
NARROW = 110
WIDEST = 40


def list_contexts(
    *,
    service: OfService = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only in this one.", show_default=False)
    ] = None,
    kind: OfKind = None,
    error: OfError = None,
    tag: OfTag = None,
    since: Annotated[str | None, since_option("was made")] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=LONGEST_LIST, help="So many at most.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """List contexts, the newest first, without what they carry."""
    with opened() as found:
        now = found.repository.now()
        documents = found.repository.list_contexts(
            service_type=found.service(service).name if service is not None else None,
            status=read_status("--status", status) if status is not None else None,
            kind=kind,
            error_type=error,
            tag=read_tag(tag) if tag is not None else None,
            since=read_past("--since", since, now) if since is not None else None,
            limit=limit,
        )
    if as_json:
        say_json(documents)
    elif not documents:
        say("no such context")
    else:
        _print(documents, now)


def _print(documents: list[Document], now: datetime) -> None:
    out = console()
    columns = COLUMNS if out.width >= NARROW else NARROW_COLUMNS
    rows = [_cells(document, columns, now) for document in documents]
    table = new_table(columns, right=("calls", "age"))
    for position, column in enumerate(table.columns[:-1]):  # the note has what they leave
        column.min_width = min(max(len(row[position]) for row in rows), WIDEST)
    table.columns[-1].no_wrap = True
    table.columns[-1].overflow = "ellipsis"
    for row in rows:
        add_row(table, *row)
    out.print(table)


def _cells(document: Document, columns: tuple[str, ...], now: datetime) -> list[str]:
    cells = {
        "id": id_word(document["_id"]),
        "service": document.get("service_type", "?"),
        "status": document.get("status"),
        "calls": document.get("attempt", 0),
        "age": ago(document.get("created_at"), now),
        "note": _note(document, now),
    }
    return [visible(str(cells[column])) for column in columns]


def _note(document: Document, now: datetime) -> str:
    """What is worth knowing at a glance."""
    error: Any = document.get("error")
    if isinstance(error, dict):
        return f"{error.get('type')}: {error.get('message')}"
    if document.get("status") == "scheduled":
        return f"{document.get('wait_reason')}, {ago(document.get('available_at'), now)}"
    if document.get("status") == "pending" and "fence" not in document:
        return "to be adopted"
    return ""
