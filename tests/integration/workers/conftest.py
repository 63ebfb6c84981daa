"""The three Base services, for workers that call them by HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.store.mongo_context_repository import MongoContextRepository
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


@pytest.fixture
def repository(repository: MongoContextRepository) -> MongoContextRepository:
    """A repository with its indexes, as a release makes them before any worker starts.

    SecantusDB comes to a standstill when the first insert and the making of indexes meet.
    """
    repository.create_indexes()
    return repository
