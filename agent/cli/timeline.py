"""What happened to a context, attempt by attempt, and how long it waited in between. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from agent.models import FINAL, PARENT, Document, Status
from agent.words import milliseconds, moment, span


class Row(NamedTuple):
    """A line of it. `waited` is what lies between the line before and this one."""

    call: str = ""
    at: str = ""
    waited: str = ""
    took: str = ""
    worker: str = ""
    what: str = ""
    about: str = ""


def timeline(document: Document, now: datetime) -> Iterator[Row]:
    """Its creation, every attempt that is kept, what it does now, or its end."""
    created = document.get("created_at")
    yield Row(at=moment(created), what="created")
    attempts = document.get("attempts")
    listed = attempts if isinstance(attempts, list) else []
    kept = [entry for entry in listed if isinstance(entry, Mapping)]
    free_since = created
    first = kept[0].get("number") if kept else None
    if isinstance(first, int) and first > 1:
        yield Row(what=f"{first - 1} calls", about="are no longer kept")
        free_since = None
    for entry in kept:
        yield _attempt(entry, free_since)
        free_since = entry.get("finished_at")
    yield from _present(document, free_since, now)


def _attempt(entry: Mapping[str, Any], free_since: object) -> Row:
    started, took = entry.get("started_at"), entry.get("duration_ms")
    return Row(
        call=str(entry.get("number", "?")),
        at=moment(started or entry.get("finished_at")),
        waited=_between(free_since, started),
        took=milliseconds(took) if isinstance(took, int | float) else "",
        worker=str(entry.get("worker") or ""),
        what=str(entry.get("outcome", "?")),
        about=error_of(entry),
    )


def _present(document: Document, free_since: object, now: datetime) -> Iterator[Row]:
    """A call that runs, a wait that goes on, or the end."""
    status = str(document.get("status"))
    if document.get("completed_at") is not None:
        yield Row(at=moment(document["completed_at"]), what=status)
    elif status in FINAL or document.get("kind") == PARENT:
        return
    elif status == Status.PROCESSING:
        started = document.get("started_at")
        yield Row(
            call=str(document.get("attempt", "?")),
            at=moment(started),
            waited=_between(free_since, started),
            took=_between(started, now),
            worker=str(document.get("processed_by") or ""),
            what=status,
            about="goes on",
        )
    else:
        yield Row(waited=_between(free_since, now), what=status)


def _between(start: object, end: object) -> str:
    """How long; nothing where either is not known, or the end comes first."""
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        return ""
    passed = end - start
    if passed >= timedelta(seconds=10):
        return span(passed)
    return milliseconds(passed.total_seconds() * 1000) if passed >= timedelta() else ""


def error_of(entry: Mapping[str, Any]) -> str:
    """Why an attempt, or a context, ended as it did."""
    error = entry.get("error")
    if not isinstance(error, Mapping):
        return ""
    code = error.get("status_code")
    answered = f" ({code})" if code is not None else ""
    return f"{error.get('type')}{answered}: {error.get('message')}"
