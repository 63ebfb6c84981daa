"""The indexes, and the queries that each of them serves."""

from __future__ import annotations

import pytest

from agent.store.indexes import INDEXES, QUERIES, Query

BY_NAME = {index.name: index for index in INDEXES}


def test_every_index_has_a_name_of_its_own() -> None:
    """MongoDB would take the second of two for the first, changed."""
    assert len(BY_NAME) == len(INDEXES)


@pytest.mark.parametrize("query", QUERIES, ids=[query.name for query in QUERIES])
def test_a_query_is_served_by_its_index(query: Query) -> None:
    """Its fields are the index's first ones, in the order equality, sort, range; what the index
    leaves out by itself need not be among them."""
    index = BY_NAME[query.served_by]
    sorted_or_ranged = dict.fromkeys((*query.sort, *query.range))
    asked = [*query.equality, *sorted_or_ranged]
    assert list(index.keys[: len(asked)]) == asked


def test_no_index_is_there_without_a_query() -> None:
    """Each costs every write; what expires is for the server itself to find."""
    assert {*BY_NAME} - {query.served_by for query in QUERIES} == {
        "retention", "kept_until", "held_until", "rows_kept_until",
    }  # fmt: skip


def test_no_index_is_unique() -> None:
    """Fields that change would keep a key that was given up; uniqueness is an `_id` elsewhere."""
    assert not any("unique" in index.model().document for index in INDEXES)


def test_no_partial_index_lists_values() -> None:
    """Some servers scan the whole collection for such a one."""
    assert not any("$in" in str(index.partial) for index in INDEXES)
