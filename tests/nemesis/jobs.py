"""Several seeds, each in a process of its own, a few of them at once."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Generator, Sequence
from datetime import timedelta
from pathlib import Path

from agent.embedded import Handle, Process, Supervisor
from tests.nemesis.one import REPORT
from tests.nemesis.report import Report

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 600.0
"""A seed that takes this long hangs."""
STOP_GRACE = timedelta(seconds=20)
LOOK_SECONDS = 0.1


class _Running:
    """A seed at work."""

    def __init__(self, seed: int, folder: Path, supervisor: Supervisor) -> None:
        self.seed, self.folder = seed, folder
        self.began = time.monotonic()
        folder.mkdir()
        self.handle: Handle = supervisor.start(
            Process(
                name=f"seed {seed}",
                command=(sys.executable, "-m", "tests.nemesis.one", str(seed), str(folder)),
                env={"PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                output=sys.stderr.fileno(),
                restart=False,
            )
        )

    def report(self) -> Report:
        """What it wrote; one that says so if it could not."""
        try:
            return Report.from_json((self.folder / REPORT).read_text())
        except (OSError, ValueError):
            why = f"it ended with {self.handle.exit_code} and without a report"
            return Report(self.seed, str(self.folder), problems=[why])


def run_seeds(
    seeds: Sequence[int], folder: Path, *, at_once: int, keep_logs: bool
) -> Generator[Report, None, None]:
    """Run them, and give each report as it comes.

    Leaving this early, by any exception, ends all that runs.

    Args:
        folder: gets one folder for each seed; those of sound ones are deleted.
        keep_logs: keep those, too.
    """
    supervisor = Supervisor()
    waiting, running = list(seeds), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                seed = waiting.pop(0)
                running.append(_Running(seed, folder / f"seed-{seed}", supervisor))
            time.sleep(LOOK_SECONDS)
            for each in [each for each in running if _has_ended(each, supervisor)]:
                running.remove(each)
                report = each.report()
                if report.is_sound and not keep_logs:
                    shutil.rmtree(each.folder, ignore_errors=True)
                yield report
    finally:
        supervisor.stop(*(each.handle for each in running), grace=STOP_GRACE)


def _has_ended(running: _Running, supervisor: Supervisor) -> bool:
    if running.handle.wait(0):
        return True
    if time.monotonic() < running.began + LONGEST_SECONDS:
        return False
    supervisor.stop(running.handle, grace=STOP_GRACE)
    return True
