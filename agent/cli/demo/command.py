"""The verb `demo`."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.exits import FAILED, FINE, INTERRUPTED
from agent.cli.output import add_row, console, new_table, note, say
from agent.words import milliseconds, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from agent.models import Document

COLUMNS = (
    "service", "contexts", "completed", "retried", "failed", "cancelled", "p50", "p95",
)  # fmt: skip
MOST_DIFFERENCES = 20
GO_ON = """\
Go on: make up runs the whole system until Ctrl-C, and says how to put work in. Its page is
{page}, or where it says. To look there at what a demo did:
  {demo} --keep
README.md has the rest."""


def demo(
    *,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="How long it may take at most.")
    ] = 120.0,
    keep: Annotated[bool, typer.Option("--keep", help="Keep data and logs.")] = False,
) -> None:
    """Do the main job from start to end, and check that everything ended as planned.

    On embedded servers in a temporary folder, with a sandbox for the services: a few hundred
    contexts of all three types, some of which are retried, snoozed, accepted, refused, parked or
    cancelled, and two that another program inserts.
    """
    from agent.cli.system.stopping import Stop, stoppable

    code = FAILED
    folder = Path(tempfile.mkdtemp(prefix="agent-demo-"))
    with stoppable():
        try:
            code = _perform(folder, timeout)
        except Stop:
            code = INTERRUPTED
            raise
        finally:
            if keep or code == FAILED:
                note(f"data and logs are kept in {folder}")
                note(f"to see them on the page: {_program()} up --data {shlex.quote(str(folder))}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code)


def _perform(folder: Path, timeout: float) -> int:
    from agent.cli.demo.performance import Performance
    from agent.cli.demo.plan import plan
    from agent.cli.demo.stage import Stage
    from agent.cli.demo.verdict import differences

    began = time.monotonic()
    out, planned = console(), plan()
    _tell(out, began, "starting MongoDB, Redis and the services of the sandbox")
    with Stage(folder) as stage:
        _tell(out, began, "starting a bridge and a worker for each service type")
        stage.start_processes()
        performance = Performance(stage, planned, out, began)
        in_time = performance.run(timeout)
        _tell(out, began, "stopping everything")
        documents = performance.documents()
        found = differences(planned, documents, stage.seen())
    _print_table(out, documents)
    if not in_time:
        found.insert(0, f"not everything was final within {timeout:g} s")
    return _conclude(found, len(planned), time.monotonic() - began)


def _tell(out: Console, began: float, what: str) -> None:
    out.print(f"{time.monotonic() - began:5.1f} s  {what}")


def _print_table(out: Console, documents: Sequence[Document | None]) -> None:
    from agent.cli.demo.figures import figures, waits_by_priority
    from agent.cli.demo.plan import COURSES

    there = [document for document in documents if document is not None]
    table = new_table(COLUMNS, right=COLUMNS[1:])
    for name in [*COURSES, "all"]:
        of_it = [each for each in there if name in ("all", each.get("service_type"))]
        found = figures(name, of_it)
        shares = (found.percentile(0.5), found.percentile(0.95))
        add_row(
            table,
            *(found.name, found.contexts, found.completed, found.retried, found.failed),
            found.cancelled,
            *("-" if share is None else milliseconds(share) for share in shares),
        )
    out.print()
    out.print(table)
    out.print()
    waits = waits_by_priority(there)
    if waits:
        first, last = min(waits), max(waits)
        say(
            f"Priority {first} waited {waits[first]:.1f} s for its first call at the median, "
            f"priority {last} {waits[last]:.1f} s."
        )


def _program() -> str:
    """This command as it was called; the demo has gone back to where it was."""
    return shlex.quote(sys.argv[0])


def _conclude(found: Sequence[str], contexts: int, seconds: float) -> int:
    from agent.cli.system.surroundings import dashboard_url
    from agent.settings import Settings

    if not found:
        say(f"All {contexts} contexts ended as planned, in {seconds:.1f} s altogether.")
        page = dashboard_url(Settings.model_fields["port"].default)
        say(GO_ON.format(page=page, demo=f"{_program()} demo"))
        return FINE
    note(f"{len(found)} things are not as planned:")
    for line in found[:MOST_DIFFERENCES]:
        note(visible(line))
    if len(found) > MOST_DIFFERENCES:
        note(f"… and {len(found) - MOST_DIFFERENCES} more")
    return FAILED
