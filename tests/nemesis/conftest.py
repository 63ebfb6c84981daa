"""Runs seeds inside a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.nemesis.run import run_seed
from tests.recovery import PROPERTY

AT_MOST = "leases, 3 and 35 s, and a leader's, 10 s"

Judge = Callable[[int], None]


@pytest.fixture
def judge(
    given_environment: Mapping[str, str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> Judge:
    """Runs a seed on servers of its own, and fails with all that is wrong."""

    def run(seed: int) -> None:
        report = run_seed(seed, tmp_path, print)
        assert report.is_sound, f"seed {seed}:\n{report.reason()}"
        count = sum(report.faults.values())
        recovered = f"{report.recovered_seconds or 0:.1f} s"
        note = (f"{count} faults at random, seed {seed}", recovered, AT_MOST, "all final")
        record_property(PROPERTY, note)

    return run
