"""`agent demo`, which is what `make demo` runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.acceptance.commands import AGENT

LONGEST_SECONDS = 150


def test_the_demo_ends_as_planned(tmp_path: Path) -> None:
    """Every context of all three types, whatever the environment says about other servers."""
    elsewhere = {"MONGODB_URI": "mongodb://nowhere.invalid", "REDIS_URL": "redis://nowhere.invalid"}
    (tmp_path / ".env").write_text("ANALYSIS_BASE_URL=http://nowhere.invalid\n")
    done = subprocess.run(
        [str(AGENT), "demo"],
        cwd=tmp_path,
        env={**os.environ, **elsewhere, "AGENT_ENV": "development"},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "All 363 contexts ended as planned" in done.stdout
    assert "make up" in done.stdout
    assert "http://127.0.0.1:8000/dashboard" in done.stdout
