"""`agent services`: what each may do and has to do, and its pause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from agent.cli import pausing
from agent.cli.exits import EPILOG
from agent.cli.opened import Opened, opened
from agent.cli.options import AsJson, ServiceName
from agent.cli.output import add_row, console, new_table, say, say_json
from agent.cli.status import Row, look, paused, service_document
from agent.words import ago, visible

if TYPE_CHECKING:
    from datetime import datetime

    from agent.services import ServiceType

COLUMNS = (
    "service", "state", "in\nflight", "of", "pending", "oldest", "workers", "timeout", "tries",
    "if unknown",
)  # fmt: skip

app = typer.Typer(help="Services: what each may do, and its pause.", no_args_is_help=True,
                  rich_markup_mode=None)  # fmt: skip


@app.callback()
def services() -> None:
    """Services: what each may do and has to do, and its pause."""


@app.command("list", epilog=EPILOG)
def list_services(*, as_json: AsJson = False) -> None:
    """List the service types.

    The state of each, calls in flight of how many, what waits, and its limits. agent status tells
    what has become of their contexts.
    """
    with opened() as found:
        overview = look(found)
        registry = found.settings.registry
        rows = [(registry[row.service], row) for row in overview.rows if row.service in registry]
        limits = {service.name: _limits(found, service) for service, _ in rows}
    if as_json:
        say_json({row.service: service_document(row) | limits[row.service] for _, row in rows})
        return
    table = new_table(COLUMNS, right=COLUMNS[2:9])
    for _, row in rows:
        limit = limits[row.service]
        add_row(
            table,
            *(row.service, row.state, row.in_flight, limit["max_in_flight"]),
            *(row.counts.get("pending", 0), ago(row.oldest, overview.now), _workers(row)),
            *(f"{limit['timeout_seconds']:g} s", limit["max_attempts"], limit["on_ambiguous"]),
        )
    console().print(table)


@app.command("show", epilog=EPILOG)
def show(service: ServiceName, *, as_json: AsJson = False) -> None:
    """Show a service type.

    Its pause, what it has to do, where it is, and its limits.
    """
    with opened() as found:
        which = found.service(service)
        overview = look(found)
        row = next(each for each in overview.rows if each.service == which.name)
        limits = _limits(found, which)
    if as_json:
        say_json({"service": which.name, **service_document(row), **limits})
        return
    for title, value in _facts(row, limits, overview.now):
        say(visible(f"{title:<10} {value}"))


def _facts(row: Row, limits: dict[str, Any], now: datetime) -> Iterator[tuple[str, object]]:
    yield "service", row.service
    yield "state", row.state if row.pause is None else paused(row.pause, row.state)
    yield "contexts", ", ".join(f"{row.counts[name]:,} {name}" for name in row.counts) or "none"
    if row.oldest is not None:
        yield "oldest", f"pending, due for {ago(row.oldest, now)}"
    yield "workers", f"{_workers(row)} (processes/threads)"
    yield "in flight", f"{row.in_flight:,} of {limits['max_in_flight']:,}"
    yield "url", limits["url"] or "not set"
    yield "key", "set" if limits["has_api_key"] else "not set"
    yield "timeout", f"{limits['timeout_seconds']:g} s a call, {limits['max_attempts']} tries"
    yield "if unknown", f"{limits['on_ambiguous']} a call whose outcome is unknown"


def _workers(row: Row) -> str:
    return "?" if row.workers is None else f"{row.workers}/{row.threads}"


def _limits(found: Opened, service: ServiceType) -> dict[str, Any]:
    from agent.logs import mask_secrets

    settings = found.settings.service(service)
    return {
        "url": mask_secrets(settings.url) if settings.url is not None else None,
        "has_api_key": settings.api_key is not None,
        "max_in_flight": settings.max_in_flight,
        "max_attempts": settings.max_attempts,
        "timeout_seconds": settings.timeout,
        "on_ambiguous": str(settings.on_ambiguous),
    }


app.command("pause", epilog=EPILOG)(pausing.pause)
app.command("resume", epilog=EPILOG)(pausing.resume)
