"""Searching page by page: what is rare is found without reading everything at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.api.paging import cursor_after, read_cursor
from agent.models import Status
from agent.store import families, listing
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import Selection
from tests.factories import a_context

START = datetime(2026, 5, 1, tzinfo=UTC)
RARE = Selection(user_id="rare")


@pytest.fixture(autouse=True)
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "WINDOW", 5)
    monkeypatch.setattr(families, "WINDOW", 5)


def insert(repository: MongoContextRepository, count: int, *, rare: set[int], every: int) -> None:
    """Contexts of which so many come at a time, a second apart."""
    repository.create_indexes()
    repository.contexts.insert_many(
        [
            a_context(
                _id=f"ctx_{number:03d}",
                created_at=START + timedelta(seconds=number // every),
                request={"id": "r", "user_id": "rare" if number in rare else "many"},
            )
            for number in range(count)
        ]
    )


def pages_of(repository: MongoContextRepository, selection: Selection, limit: int) -> list[Any]:
    """The ids of all pages, by the cursors that the API answers."""
    pages, after = [], None
    for _ in range(60):
        found, following = repository.search(selection, limit=limit, after=after)
        pages.append([each["_id"] for each in found])
        if following is None:
            return pages
        after = read_cursor(cursor_after(*following))
    raise AssertionError("it never ends")


@pytest.mark.parametrize("every", [1, 3, 8, 40])
@pytest.mark.parametrize("limit", [1, 2, 50])
def test_all_that_matches_is_found_once(
    repository: MongoContextRepository, every: int, limit: int
) -> None:
    """However rare, and however many were made at one moment."""
    rare = {0, 1, 7, 20, 21, 22, 39}
    insert(repository, 40, rare=rare, every=every)
    pages = pages_of(repository, RARE, limit)
    assert [each for page in pages for each in page] == [
        f"ctx_{number:03d}" for number in sorted(rare, reverse=True)
    ]
    assert all(len(page) <= limit for page in pages)


def test_a_page_reads_no_more_than_its_window(repository: MongoContextRepository) -> None:
    """So it may be empty, and say that there is more."""
    insert(repository, 40, rare={0}, every=1)
    found, following = repository.search(RARE, limit=2)
    assert (found, following is not None) == ([], True)
    assert pages_of(repository, RARE, 2)[-1] == ["ctx_000"]


def test_without_a_filter_every_page_is_full(repository: MongoContextRepository) -> None:
    """By time alone the index finds them."""
    insert(repository, 12, rare=set(), every=1)
    later = Selection(since=START + timedelta(seconds=2))
    assert [len(page) for page in pages_of(repository, later, 4)] == [4, 4, 2]


@pytest.mark.parametrize("every", [1, 4])
def test_parents_of_a_rare_status_are_looked_for_window_by_window(
    repository: MongoContextRepository, every: int
) -> None:
    """None is left out or told twice, however many of another status lie between."""
    repository.create_indexes()
    repository.contexts.insert_many(
        {
            **a_context(
                _id=f"batch_{number:03d}",
                kind="parent",
                status="failed" if number in (1, 2, 17) else "completed",
                created_at=START + timedelta(seconds=number // every),
            ),
            "service_type": "BATCH",
        }
        for number in range(24)
    )
    pages: list[list[Any]] = []
    after = None
    while True:
        found, after = repository.search_parents(
            "BATCH", limit=2, status=Status.FAILED, after=after
        )
        pages.append([each["_id"] for each in found])
        if after is None:
            break
    assert [each for page in pages for each in page] == ["batch_017", "batch_002", "batch_001"]
    assert len(pages) >= 3
    assert repository.search_parents("BATCH", limit=30).following is None


def test_a_page_that_is_read_again_shows_what_is_new_and_leaves_out_what_is_gone(
    repository: MongoContextRepository,
) -> None:
    """Though it is remembered how far it reached."""
    insert(repository, 12, rare=set(), every=1)

    def first() -> list[str]:
        return [each["_id"] for each in repository.search(Selection(), limit=3).found]

    assert first() == first() == ["ctx_011", "ctx_010", "ctx_009"]
    repository.contexts.delete_one({"_id": "ctx_010"})
    assert first() == first() == ["ctx_011", "ctx_009", "ctx_008"]
    new = START + timedelta(seconds=50)
    repository.contexts.insert_one(a_context(_id="new", created_at=new))
    assert first() == ["new", "ctx_011", "ctx_009"]
