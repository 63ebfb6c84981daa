"""The command line: `python -m benchmarks`."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agent.embedded import Supervisor
from agent.errors import AgentError
from benchmarks import report
from benchmarks.bench import Bench
from benchmarks.servers import running_servers

PLAIN_WIDTH = 160
"""Of the table where it goes to a file."""

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Only(StrEnum):
    """The measurements by name."""

    THROUGHPUT = "throughput"
    IN_FLIGHT = "in-flight"
    PICKUP = "pickup"
    IDLE = "idle"
    CLAIM = "claim"
    CRASHES = "crashes"
    LISTENERS = "listeners"
    SUBMISSIONS = "submissions"
    BATCHES = "batches"
    PAGES = "pages"
    OPEN_PAGES = "open-pages"


@cli.command()
def main(
    *,
    only: Annotated[
        list[Only] | None, typer.Option(help="Run this part alone; may be repeated.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures there, as JSON.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller sizes, rougher figures.")] = False,
    durable: Annotated[
        bool, typer.Option("--durable", help="The embedded MongoDB syncs every commit.")
    ] = False,
    keep_logs: Annotated[Path | None, typer.Option(help="Copy the processes' logs there.")] = None,
) -> None:
    """Measure the system beside its alternatives, on the servers of MONGODB_URI and REDIS_URL, or
    on embedded ones where these are not set."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that runs is stopped
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    console, progress = Console(width=width), Console(stderr=True)
    try:
        with tempfile.TemporaryDirectory(prefix="agent-bench-") as name:
            folder = Path(name)
            supervisor = Supervisor()
            try:
                with running_servers(folder / "servers", supervisor, durable=durable) as servers:
                    about = {"machine": report.machine(), "servers": servers.described()}
                    bench = Bench(servers, supervisor, folder, _sayer(progress), quick)
                    parts = [_measured(name, measure, bench) for name, measure in _chosen(only)]
            finally:
                supervisor.stop_all()
                if keep_logs:
                    shutil.copytree(folder, keep_logs, dirs_exist_ok=True, ignore=_all_but_logs)
    except AgentError as exc:
        progress.print(f"[red]{exc}[/red]")
        raise typer.Exit(1) from exc
    report.print_table(console, about, parts)
    if json_file:
        options = {"quick": quick, "durable": durable, "only": [str(name) for name in only or ()]}
        report.write_json(json_file, report.as_json({**about, "options": options}, parts))
    if any("failed" in part.data for part in parts):
        raise typer.Exit(1)


Measure = Callable[[Bench], report.Part]


def _measured(name: str, measure: Measure, bench: Bench) -> report.Part:
    """What a measurement found, or why it found nothing: the others go on."""
    try:
        return measure(bench)
    except Exception as exc:  # of any of the libraries that are measured
        bench.say("".join(traceback.format_exception(exc)))
        why = f"failed: {type(exc).__name__}: {exc}".partition("\n")[0]
        return report.Part(name, [report.Row(name, None, detail=why)], {"failed": why})


def _chosen(only: list[Only] | None) -> list[tuple[str, Measure]]:
    from benchmarks import (
        batches,
        claim,
        crashes,
        idle,
        in_flight,
        listeners,
        open_pages,
        pages,
        pickup,
        submissions,
        throughput,
    )

    every = {
        Only.THROUGHPUT: throughput.measure,
        Only.IN_FLIGHT: in_flight.measure,
        Only.PICKUP: pickup.measure,
        Only.IDLE: idle.measure,
        Only.CLAIM: claim.measure,
        Only.CRASHES: crashes.measure,
        Only.LISTENERS: listeners.measure,
        Only.SUBMISSIONS: submissions.measure,
        Only.BATCHES: batches.measure,
        Only.PAGES: pages.measure,
        Only.OPEN_PAGES: open_pages.measure,
    }
    return [(str(name), measure) for name, measure in every.items() if not only or name in only]


def _sayer(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, style="dim", highlight=False)


def _all_but_logs(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".log") and name != "servers"]


if __name__ == "__main__":
    cli(prog_name="python -m benchmarks")
