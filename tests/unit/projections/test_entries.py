"""What the views say of one context."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from agent.projections.entries import (
    LONGEST_MESSAGE,
    LONGEST_WORD,
    MOST_TAGS,
    Entry,
    dead_entry,
    retry_entry,
)
from agent.store.ids import read_ids
from tests.unit.projections.entries import NOW, SECOND, dead, failed, retry, waiting

LONGEST_INFO = 5000


def read_back(entry: Entry) -> Entry:
    return Entry.of_info(float(entry.score), json.loads(entry.to_info()))


def test_a_retry_says_when_after_what_and_which_attempt_of_how_many() -> None:
    """All that the page shows of it."""
    entry = retry(attempt=4, failures=3, max_attempts=20, tags={"team": "north"})
    assert entry == Entry(
        key="ctx_1", word="ctx_1", at=NOW + 10 * SECOND, service_type="GENERATIVE", attempt=4,
        failures=3, max_attempts=20, error_type="ServiceUnavailable", kind="19872f5ae61e",
        message="answered 503", status_code=503, reason="retry", template_id="greeting",
        tags=("team=north",), since=NOW,
    )  # fmt: skip


@pytest.mark.parametrize("reason", ["retry", "snooze", "crash"])
def test_whatever_was_tried_before_is_a_retry(reason: str) -> None:
    """Also what was put off, and what a crash has interrupted."""
    assert retry(wait_reason=reason).reason == reason


@pytest.mark.parametrize(
    "fields",
    [{"wait_reason": "delay"}, {"wait_reason": "poll"}, {"status": "pending", "wait_reason": None}],
)
def test_what_waits_for_something_else_is_no_retry(fields: dict[str, Any]) -> None:
    """A time, or a service that works at it."""
    assert retry_entry(waiting(**fields), "ctx_1") is None


def test_a_dead_letter_says_when_it_failed_and_why() -> None:
    """Its own error, not that of an attempt."""
    entry = dead(seconds=5, attempts=[])
    assert (entry.at, entry.error_type, entry.reason) == (
        NOW - 5 * SECOND,
        "ServiceUnavailable",
        None,
    )


@pytest.mark.parametrize("fields", [{"status": "cancelled"}, {"kind": "parent"}])
def test_a_parent_and_what_did_not_fail_are_no_dead_letters(fields: dict[str, Any]) -> None:
    """What failed of a request stands with its steps."""
    assert dead_entry(failed(**fields), "ctx_1") is None


@pytest.mark.parametrize("entry", [retry(), dead(), retry(ObjectId("5f43a1b2c3d4e5f6a7b8c9d0"))])
def test_an_entry_comes_back_as_it_was_written(entry: Entry) -> None:
    """To the millisecond."""
    assert read_back(entry) == entry


def test_the_time_is_kept_to_the_millisecond_as_mongodb_has_it() -> None:
    """So that what a worker writes and what the bridge reads is the same."""
    given_at = NOW + timedelta(microseconds=123_999)
    entry = retry_entry(waiting(available_at=given_at), "ctx_1")
    assert entry is not None
    assert read_back(entry).at == NOW + timedelta(milliseconds=123)


def test_an_id_that_is_no_string_is_named_so_that_it_is_found() -> None:
    """Commands and paths take it as extended JSON."""
    context_id = ObjectId()
    entry = read_back(retry(context_id))
    assert context_id in read_ids(entry.word)
    assert entry.key == f"ObjectId:{context_id}"


def test_long_texts_and_many_tags_are_cut() -> None:
    """An entry is small, whatever a service or a producer wrote."""
    entry = retry(
        error={"message": "é" * 10_000, "type": "T" * 10_000},
        tags={f"{number}" + "n" * 1000: "v" * 1000 for number in range(100)},
        service_type="S" * 1000,
        template_id="t" * 100_000,
    )
    assert (len(str(entry.message)), len(str(entry.error_type))) == (LONGEST_MESSAGE, LONGEST_WORD)
    assert [len(tag) for tag in entry.tags] == [LONGEST_WORD] * MOST_TAGS
    assert len(entry.to_info()) < LONGEST_INFO


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("service_type", "attempt", "failures", "max_attempts", "template", "tags", "attempts",
          "error", "available_at", "completed_at")  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_whatever_another_program_wrote_is_an_entry_or_none(fields: dict[str, Any]) -> None:
    """In one line of text, or without a place where it has no time; never an error."""
    for entry in (
        retry_entry({**waiting(), **fields}, "ctx_1"),
        dead_entry({**failed(), **fields}, "ctx_1"),
    ):
        if entry is not None:
            assert "\n" not in entry.to_info()
            assert read_back(entry).key == "ctx_1"
