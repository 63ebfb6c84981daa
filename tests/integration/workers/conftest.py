"""The three Base services, for workers that call them by HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import ROOT
from tests.faults.processes import Processes
from tests.faults.sandbox import Sandbox


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    found = Processes(tmp_path_factory.mktemp("alone"), {"PYTHONPATH": str(ROOT)})
    yield found
    found.stop()


@pytest.fixture(scope="module")
def sandbox(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """The three Base services."""
    found = Sandbox(processes, tmp_path_factory.mktemp("sandbox"))
    found.start()
    return found
