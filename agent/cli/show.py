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
from agent.words import ago, milliseconds, moment, visible

if TYPE_CHECKING:
    from agent.models import Document

MOST_RESULT_LINES = 40
LONGEST_LINE = 2000
STEPS = ("step", "service", "status", "call", "after", "about it")
TIMELINE = ("call", "at", "took", "what", "about it")


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
    """Show a context: what it is, every attempt, and why it is where it is; of a request of
    several steps, all of them."""
    from agent.admission.surroundings import steps_of, surroundings
    from agent.admission.why import why

    with opened() as found:
        document = found.repository.find_context(found.find(context_id))
        if as_json:
            say_json(document)
            return
        children = steps_of(found.repository, document)
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
    table = new_table(TIMELINE, right=("call", "took"))
    for cells in timeline(document):
        add_row(table, *cells)
    out.print(table)
    if children:
        out.print()
        steps = new_table(STEPS, right=("call",))
        for child in children:
            add_row(steps, *step_row(child))
        out.print(steps)
    if document.get("results") is not None:
        out.print()
        out.print(Text("results", style="bold"))
        for line in results_of(document):
            out.print(Text(f"  {visible(line)}"))


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
    if document.get("deadline_at") is not None:
        yield "deadline", moment(document["deadline_at"])
    if document.get("tags"):
        yield "tags", json.dumps(document["tags"], default=str, ensure_ascii=False)
    if document.get("generation"):
        yield "retried", f"{document['generation']} times by an operator"


def timeline(document: Document) -> Iterator[tuple[str, str, str, str, str]]:
    """What happened, a row each: its creation, every attempt that is kept, its end."""
    yield "", moment(document.get("created_at")), "", "created", ""
    attempts = document.get("attempts")
    listed = attempts if isinstance(attempts, list) else []
    kept = [entry for entry in listed if isinstance(entry, Mapping)]
    first = kept[0].get("number") if kept else None
    if isinstance(first, int) and first > 1:
        yield "", "", "", f"{first - 1} calls", "are no longer kept"
    for entry in kept:
        took = entry.get("duration_ms")
        yield (
            str(entry.get("number", "?")),
            moment(entry.get("started_at") or entry.get("finished_at")),
            milliseconds(took) if isinstance(took, int | float) else "",
            str(entry.get("outcome", "?")),
            _about(entry),
        )
    if document.get("completed_at") is not None:
        yield "", moment(document["completed_at"]), "", str(document.get("status")), ""


def step_row(child: Document) -> tuple[str, str, str, str, str, str]:
    """A step among others of its request."""
    from agent.admission.surroundings import key_of

    after = child.get("after")
    parent = f"{child.get('parent_id')}_"
    names = [str(each).removeprefix(parent) for each in after] if isinstance(after, list) else []
    return (
        key_of(child),
        str(child.get("service_type")),
        str(child.get("status")),
        str(child.get("attempt", "")),
        ", ".join(names),
        _about(child) if child.get("error") else id_word(child["_id"]),
    )


def _about(entry: Mapping[str, Any]) -> str:
    """Why an attempt ended as it did, else who made it."""
    error = entry.get("error")
    if isinstance(error, Mapping):
        code = error.get("status_code")
        answered = f" ({code})" if code is not None else ""
        return f"{error.get('type')}{answered}: {error.get('message')}"
    return f"by {entry['worker']}" if entry.get("worker") else ""


def results_of(document: Document) -> list[str]:
    """The results as lines of JSON, and how many are left out."""
    from agent.store.ejson import to_json

    text = to_json(document.get("results"), indent=2, ascii_only=False)
    lines = [line[:LONGEST_LINE] for line in text.splitlines()]
    more = len(lines) - MOST_RESULT_LINES
    if more <= 0:
        return lines
    return [*lines[:MOST_RESULT_LINES], f"… and {more} more lines; --json has all of them"]


def _object(document: Document, name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}
