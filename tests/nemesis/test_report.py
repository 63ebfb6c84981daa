"""What a run says of its seeds, and the command line around it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.nemesis.report import Report, summary

ROOT = Path(__file__).parents[2]
SOUND = Report(
    3,
    faults={"worker killed": 2, "Redis flushed": 1},
    contexts=120,
    calls=150,
    recovered_seconds=7.24,
    seconds=21.0,
)
FAILED = Report(17, folder="/logs/seed-17", problems=["ctx_1: is lost"])


def nemesis(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tests.nemesis", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_line_says_what_a_seed_came_to() -> None:
    """With every fault that struck, and how often."""
    line = SOUND.line()
    for word in ("seed    3", "sound", "120", "150", "7.2 s", "faults 3", "worker killed 2x"):
        assert word in line
    assert "FAILED" in FAILED.line()


def test_a_failed_seed_says_why_where_its_logs_are_and_how_to_run_it_again() -> None:
    """Alone, by one command."""
    reason = FAILED.reason()
    for word in ("ctx_1: is lost", "/logs/seed-17", "make nemesis SEEDS=17"):
        assert word in reason


@pytest.mark.parametrize("report", [SOUND, FAILED])
def test_a_report_survives_its_way_between_processes(report: Report) -> None:
    """As JSON, which programs read, too."""
    assert Report.from_json(report.as_json()) == report


def test_the_summary_names_the_seeds_that_failed() -> None:
    """Beside the sums over all."""
    text = summary([SOUND, FAILED])
    assert "2 seeds, 1 sound, 1 failed (17)" in text
    assert "3 faults: worker killed 2, Redis flushed 1" in text


def test_a_plan_is_shown_and_is_always_the_same() -> None:
    """In a process of its own each time, whose hashes differ."""
    first, second = nemesis("3-4", "--plan"), nemesis("3-4", "--plan")
    assert first.returncode == 0
    assert first.stdout.startswith("seed 3: ")
    assert "\nseed 4: " in first.stdout
    assert first.stdout == second.stdout


def test_what_is_no_seed_is_a_usage_error() -> None:
    """And runs nothing."""
    wrong = nemesis("3", "oops")
    assert wrong.returncode == 2
    assert "oops" in wrong.stderr
