"""`agent up --sample`: a system that has something to do from the beginning."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from agent.cli.system import sample
from agent.cli.system.lines import Lines
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.cli.conftest import Commands
from tests.waiting import wait_until

MORE_THAN_A_PLAN = 400


@pytest.mark.usefixtures("agent")
def test_it_asks_for_every_kind_of_outcome_over_and_over(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every service, with calls that go wrong; and ends when it is told to."""
    monkeypatch.setattr(sample, "EVERY_SECONDS", 0.0)
    repository.create_indexes()
    said, ends = io.StringIO(), threading.Event()
    lines = Lines(Console(file=said), ["agent"])
    asking = threading.Thread(target=sample.keep_asking, args=(lines, ends))
    asking.start()
    try:
        count = repository.contexts.estimated_document_count
        wait_until(lambda: count() > MORE_THAN_A_PLAN, 60)
    finally:
        ends.set()
        asking.join()
        lines.close()
    assert set(repository.contexts.distinct("service_type")) == {
        "GENERATIVE", "ANALYSIS", "COMMUNICATION",
    }  # fmt: skip
    assert repository.contexts.distinct("source") == ["sample"]
    assert said.getvalue() == ""


def test_it_is_for_sandboxes_alone(agent: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of a service that costs money, nor put into somebody's database."""
    monkeypatch.setenv("AGENT_ENV", "development")
    refused = agent("up", "--sample")
    assert refused.code == 78
    assert "--sample is for an embedded MongoDB and sandboxes alone" in refused.err
