"""The commands with the servers and the place of one test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.commands import Agent


@pytest.fixture
def agent(process_environment: dict[str, str], tmp_path: Path) -> Agent:
    """The program on the test's servers."""
    return Agent(process_environment, tmp_path)
