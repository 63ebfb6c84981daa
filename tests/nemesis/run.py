"""One seed: its line is put up, hurt, healed, left alone until it is quiet, and judged."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from pathlib import Path

from tests.checker import sent
from tests.nemesis.driver import Driver, NeverStruck, Say
from tests.nemesis.ground import Ground, ground_of
from tests.nemesis.plan import Plan
from tests.nemesis.quiet import NotQuiet, wait_until_quiet
from tests.nemesis.report import Report
from tests.nemesis.schedule import plan_of
from tests.nemesis.verdict import problems
from tests.nemesis.work import Work


def run_seed(seed: int, folder: Path, say: Say) -> Report:
    """Run a seed on servers of its own.

    Args:
        folder: empty; its logs stay there.
        say: takes what is going on, for people.
    """
    report = Report(seed, str(folder))
    plan = plan_of(seed)
    began = time.monotonic()
    try:
        with ground_of(plan, folder) as ground:
            say(f"{plan.bridges} bridges, {len(plan.workers)} workers")
            _run(plan, ground, report, say)
    except NeverStruck as exc:
        report.problems.append(f"a fault never struck: {exc}")
    except Exception:  # the seed has failed, the others go on
        report.problems.append(f"it broke down:\n{traceback.format_exc()}")
    report.seconds = round(time.monotonic() - began, 1)
    return report


def _run(plan: Plan, ground: Ground, report: Report, say: Say) -> None:
    work = Work(ground.line, plan.work)
    driver = Driver(plan.faults, ground, work, say)
    try:
        driver.run()
    finally:
        report.faults = dict(sorted(Counter(str(kind) for kind in driver.struck).items()))
        work.stop()
    say("healed")
    try:
        report.recovered_seconds = round(wait_until_quiet(ground.line), 1)
        say(f"quiet after {report.recovered_seconds} s")
    except NotQuiet as exc:
        report.problems += str(exc).splitlines()
    report.problems += problems(ground, work)
    report.contexts = len(work.submitted)
    report.calls = len(sent(ground.line.sandbox.calls()))
