"""`agent show`: one context, its whole timeline, and why it is where it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.opened import Opened, opened
from agent.cli.options import AsJson
from agent.cli.output import add_row, console, id_word, new_table, say_json
from agent.words import ago, milliseconds, moment, visible

if TYPE_CHECKING:
    from agent.admission.why import Surroundings
    from agent.models import Document

MOST_RESULT_LINES = 40
LONGEST_LINE = 2000
MOST_CHILDREN = 500
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
    from agent.admission.why import why

    with opened() as found:
        document = found.repository.find_context(found.find(context_id))
        if as_json:
            say_json(document)
            return
        children = steps_of(found, document)
        around = surroundings(found, document, children)
    _print(document, why(document, around), around.now, children)


def steps_of(found: Opened, document: Document) -> list[Document]:
    """The children of a parent, in the order in which its template lists them."""
    from agent.models import PARENT

    if document.get("kind") != PARENT:
        return []
    listed = document.get("steps")
    places = {key: place for place, key in enumerate(listed)} if isinstance(listed, list) else {}
    children = found.repository.children_of(document["_id"], limit=MOST_CHILDREN)
    return sorted(children, key=lambda each: places.get(str(each.get("step")), len(places)))


def surroundings(
    found: Opened, document: Document, children: Sequence[Document] = ()
) -> Surroundings:
    """What decides about a context beside itself, as far as it can be asked."""
    from agent.admission.why import Surroundings

    repository = found.repository
    name = str(document.get("service_type"))
    registry = found.settings.registry
    # under the exact name alone it is claimed
    service = registry.find(name) if name in registry else None
    state = repository.service_states().get(name)
    return Surroundings(
        now=repository.now(),
        leads=repository.leader() is not None,
        pause=state.pause if state is not None else None,
        threads=_threads(found, name),
        in_flight=sum(
            row.count
            for row in repository.in_flight()
            if row.service_type == name and not row.polls
        ),
        limit=found.settings.service(service).max_in_flight if service is not None else None,
        steps=[(_key(each), str(each.get("status"))) for each in children]
        or repository.statuses_before(document),
    )


def _threads(found: Opened, service_type: str) -> int | None:
    from agent.errors import BrokerUnavailable
    from agent.projections.presence import Presence, threads_by_service

    try:
        workers = Presence(found.client, found.settings.namespace).live()
    except BrokerUnavailable:
        return None
    return threads_by_service(workers).get(service_type, 0)


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
    after = child.get("after")
    parent = f"{child.get('parent_id')}_"
    names = [str(each).removeprefix(parent) for each in after] if isinstance(after, list) else []
    return (
        _key(child),
        str(child.get("service_type")),
        str(child.get("status")),
        str(child.get("attempt", "")),
        ", ".join(names),
        _about(child) if child.get("error") else id_word(child["_id"]),
    )


def _key(child: Document) -> str:
    return str(child.get("step") or id_word(child["_id"]))


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
