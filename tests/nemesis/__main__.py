"""The command line: `python -m tests.nemesis`, or `make nemesis SEEDS=0-99`."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from agent.embedded.mongodb import find_mongodb
from agent.errors import AgentError
from tests.nemesis.jobs import run_seeds
from tests.nemesis.report import Report, summary
from tests.nemesis.schedule import plan_of
from tests.nemesis.seeds import parse_seeds

INTERRUPTED = 128 + signal.SIGINT

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def main(
    *,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="SEEDS", help="`0-99`, or `3 17 20-25`.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="So many seeds at once.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a seed, for programs.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be done, and end.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep the logs of every seed there.")] = None,
) -> None:
    """Run the whole line with random faults over mixed work, one line for each seed.

    A seed is always the same schedule, though never quite the same run. Each has servers of its
    own. The logs of those that fail are kept; the exit code is 1 if one did. AGENT_EMBEDDED_MONGODB
    names another program to stand in for MongoDB.
    """
    try:
        seeds = parse_seeds(words or ["0-9"])
        sys.stderr.write(f"MongoDB is {find_mongodb().name}\n")
    except (ValueError, AgentError) as exc:
        raise typer.BadParameter(str(exc)) from exc
    if plan:
        for seed in seeds:
            _show_plan(seed)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = keep or Path(tempfile.mkdtemp(prefix="nemesis-"))
    folder.mkdir(parents=True, exist_ok=True)
    reports: list[Report] = []
    try:
        run = run_seeds(seeds, folder.absolute(), at_once=jobs, keep_logs=bool(keep))
        with closing(run):  # so that nothing runs on when this ends in between
            for report in run:
                reports.append(report)
                _print(report.as_json() if as_json else report.line())
                if not report.is_sound:
                    sys.stderr.write(f"seed {report.seed} failed:\n{report.reason()}\n")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        sys.stderr.write(f"{summary(reports)}\n" if as_json and reports else "")
        if not keep and all(report.is_sound for report in reports):
            shutil.rmtree(folder, ignore_errors=True)
    if not as_json:
        _print(summary(reports))
    if not all(report.is_sound for report in reports):
        raise typer.Exit(1)


def _show_plan(seed: int) -> None:
    plan = plan_of(seed)
    _print(f"seed {seed}: {plan.bridges} bridges, workers {plan.workers}")
    for step in sorted([*plan.faults, *plan.work], key=lambda each: each.at):
        _print(f"  {step}")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    cli(prog_name="python -m tests.nemesis")
