"""`agent show`: one context, its whole timeline, and why it is where it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.opened import opened
from agent.cli.options import AsJson
from agent.cli.output import add_row, console, id_word, new_table, say_json
from agent.words import ago, moment, visible

if TYPE_CHECKING:
    from rich.table import Table

    from agent.cli.timeline import Row
    from agent.models import Document

MOST_RESULT_LINES = 40
LONGEST_LINE = 2000
STEPS = ("step", "service", "status", "call", "after", "about it")
TIMELINE = ("call", "at", "waited", "took", "worker", "what", "about it")
NARROW_TIMELINE = ("call", "at", "waited", "took", "what", "about it")
NARROW = 110
MOST_ITEMS = 20
"""Of a batch, how many are listed; of a request all of its steps."""


def show(
    context_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help='Of a context. One that is no string as extended JSON, such as {"$oid": "…"}, or '
            "the digits of an ObjectId or a UUID.",
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a context: what it is, why it is where it is, and every attempt: when it began, after
    which wait, how long it took, at which worker, and how it ended. Of a request of several steps
    all of them."""
    from agent.admission.surroundings import steps_of, surroundings
    from agent.admission.why import why

    with opened() as found:
        document = found.repository.find_context(found.find(context_id))
        children = steps_of(found.repository, document)
        if as_json:
            say_json({**document, "children": children} if children else document)
            return
        around = surroundings(found.repository, found.client, document, children)
    _print(document, why(document, around), around.now, children)


def _print(
    document: Document, reason: str, now: datetime, children: Sequence[Document] = ()
) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(visible(id_word(document["_id"])), style="bold"))
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(document, reason, now):
        facts.add_row(Text(f"  {name}", style="dim"), Text(visible(value)))
    out.print(facts)
    out.print()
    out.print(_timeline(document, now, is_narrow=out.width < NARROW))
    if children:
        out.print()
        steps = new_table(STEPS, right=("call",))
        shown = children if document.get("steps") else children[:MOST_ITEMS]
        for child in shown:
            add_row(steps, *step_row(child))
        out.print(steps)
        if len(shown) < len(children):
            out.print(f"these are {MOST_ITEMS} of them")
    if document.get("results") is not None:
        out.print()
        out.print(Text("results", style="bold"))
        for line in results_of(document):
            out.print(Text(f"  {visible(line)}"))


def _timeline(document: Document, now: datetime, *, is_narrow: bool) -> Table:
    from agent.cli.timeline import timeline

    columns = NARROW_TIMELINE if is_narrow else TIMELINE
    table = new_table(columns, right=("call", "waited", "took"))
    for row in timeline(document, now):
        add_row(table, *(_narrow(row) if is_narrow else row))
    return table


def _narrow(row: Row) -> tuple[str, ...]:
    """Without a column for the worker, who is named where there is nothing else to say."""
    about = row.about or (f"by {row.worker}" if row.worker else "")
    return row.call, row.at, row.waited, row.took, row.what, about


def _facts(document: Document, reason: str, now: datetime) -> Iterator[tuple[str, str]]:
    template, request = _object(document, "template"), _object(document, "request")
    yield "status", str(document.get("status"))
    yield "why", reason
    yield (
        "service",
        f"{document.get('service_type', '?')}, priority {document.get('priority', '?')}",
    )
    yield "template", str(template.get("id", document.get("template_id")))
    if request.get("user_id") is not None:
        yield "user", str(request["user_id"])
    created = document.get("created_at")
    yield "created", f"{moment(created)} ({ago(created, now)} ago), source {document.get('source')}"
    if document.get("parent_id") is not None:
        step = document.get("step")
        yield "part of", id_word(document["parent_id"]) + (f", as {step}" if step else "")
    progress = _object(_object(document, "results"), "progress")
    if document.get("kind") == "parent" and progress:
        yield "progress", f"{progress.get('processed')} of {progress.get('total')}"
    if document.get("deadline_at") is not None:
        yield "deadline", moment(document["deadline_at"])
    if document.get("tags"):
        yield "tags", json.dumps(document["tags"], default=str, ensure_ascii=False)
    if document.get("generation"):
        yield "retried", f"{document['generation']} times by an operator"


def step_row(child: Document) -> tuple[str, str, str, str, str, str]:
    """A step among others of its request."""
    from agent.admission.surroundings import key_of
    from agent.cli.timeline import error_of

    after = child.get("after")
    parent = f"{child.get('parent_id')}_"
    names = [str(each).removeprefix(parent) for each in after] if isinstance(after, list) else []
    return (
        key_of(child),
        str(child.get("service_type")),
        str(child.get("status")),
        str(child.get("attempt", "")),
        ", ".join(names),
        error_of(child) or id_word(child["_id"]),
    )


def results_of(document: Document) -> list[str]:
    """The results as lines of JSON, and how many are left out."""
    from agent.store.ejson import to_json

    text = to_json(document.get("results"), indent=2, ascii_only=False)
    lines = [line[:LONGEST_LINE] for line in text.splitlines()]
    more = len(lines) - MOST_RESULT_LINES
    if more <= 0:
        return lines
    return [*lines[:MOST_RESULT_LINES], f"… and {more} more lines; --json has all of them"]


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}
