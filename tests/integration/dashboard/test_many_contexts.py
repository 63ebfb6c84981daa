"""What the pages say of so many contexts that not all of them are read."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from agent.dashboard.seen import census
from agent.store import families, listing
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import LONG_AGO, a_context
from tests.integration.dashboard.conftest import Person

FURTHER = re.compile(r'<a href="/dashboard([^"]+)" rel="next">Look further</a>')


def insert(repository: MongoContextRepository, count: int, **fields: object) -> None:
    """Contexts of ANALYSIS, each a second younger than the one before."""
    repository.contexts.insert_many(
        {
            **a_context(service_type="ANALYSIS", created_at=LONG_AGO + timedelta(seconds=number)),
            **fields,
        }
        for number in range(count)
    )


def test_counts_that_were_kept_are_marked(
    viewer: Person, repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is open is counted now; what has ended was counted before, and says so."""
    insert(repository, 6, status="completed")
    insert(repository, 4, status="pending")
    assert "≈" not in viewer.get("/services").text
    monkeypatch.setattr(census, "EXACT", 5)
    page = viewer.get("/services").text
    assert re.findall(r"service=ANALYSIS&amp;status=(\w+)\">(≈ )?([0-9]+)<", page) == [
        ("pending", "", "4"), ("scheduled", "", "0"), ("waiting", "", "0"), ("queued", "", "0"),
        ("processing", "", "0"), ("completed", "≈ ", "6"), ("failed", "", "0"),
        ("cancelled", "", "0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/contexts?status=failed", {"status": "completed"}),
        ("/requests?kind=batch&status=failed",
         {"status": "completed", "kind": "parent", "service_type": "BATCH"}),
    ],
)  # fmt: skip
def test_a_search_that_has_not_looked_through_all_says_so(
    viewer: Person, repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch,
    path: str, fields: dict[str, object],
) -> None:  # fmt: skip
    """It does not say that there is none, and leads on to what it has not looked at."""
    monkeypatch.setattr(listing, "WINDOW", 5)
    monkeypatch.setattr(families, "WINDOW", 5)
    insert(repository, 12, **fields)
    looked = 0
    while (further := FURTHER.search(viewer.get(path).text)) is not None:
        path, looked = further[1].replace("&amp;", "&"), looked + 1
    assert looked >= 2
    assert "These were all" in viewer.get(path).text or "None has" in viewer.get(path).text
