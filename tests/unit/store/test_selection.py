"""Which contexts an operator means, as a filter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.errors import RequestInvalid
from agent.models import Status
from agent.store.selection import UNKNOWN, Selection

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def test_every_value_is_compared_literally() -> None:
    """By `$eq`, so that none is taken for an operator."""
    selection = Selection(
        service_type="ANALYSIS", status=Status.FAILED, kind="abc", error_type="X",
        tag=("team", "$gt"), template_id="t", user_id="u",
    )  # fmt: skip
    assert selection.filter(since_field="completed_at") == {
        "service_type": {"$eq": "ANALYSIS"},
        "status": "failed",
        "error.fingerprint": {"$eq": "abc"},
        "error.type": {"$eq": "X"},
        "tags.team": {"$eq": "$gt"},
        "template.id": {"$eq": "t"},
        "request.user_id": {"$eq": "u"},
    }


def test_nothing_selects_everything() -> None:
    """What is None does not matter."""
    assert Selection().filter(since_field="created_at") == {}


def test_what_has_no_time_is_left_out_by_since_alone() -> None:
    """It may be from any time: another program wrote it."""
    assert Selection(since=NOON, until=NOON).filter(since_field="at") == {
        "at": {"$gte": NOON, "$not": {"$gt": NOON}}
    }
    assert Selection(until=NOON).filter(since_field="at") == {"at": {"$not": {"$gt": NOON}}}


def test_the_unknown_kind_is_whatever_has_no_fingerprint() -> None:
    """Missing, or no text."""
    found = Selection(kind=UNKNOWN).filter(since_field="at")
    assert found == {"error.fingerprint": {"$not": {"$type": "string"}}}


def test_a_tag_may_be_one_of_a_list() -> None:
    """As other programs write them."""
    assert Selection(tag="user:42").filter(since_field="at") == {"tags": {"$eq": "user:42"}}


@pytest.mark.parametrize("value", [{"$gt": ""}, ["a"], 7, True, b"a", "a\0b", "\ud800", ""])
@pytest.mark.parametrize(
    "name", ["service_type", "kind", "error_type", "tag", "template_id", "user_id"]
)
def test_what_is_no_text_is_refused(name: str, value: Any) -> None:
    """By the name of the field; so is a text that MongoDB cannot hold."""
    with pytest.raises(RequestInvalid, match=f"^{name}: "):
        Selection(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "failed"),
        ("status", {"$ne": "failed"}),
        ("since", "2025-01-01"),
        ("until", datetime(2025, 1, 1)),
        ("since", {"$gt": 0}),
        ("tag", ("a.b", "c")),
        ("tag", ("$where", "c")),
        ("tag", ("a", {"$gt": ""})),
        ("tag", ("", "c")),
        ("tag", ("a", "b", "c")),
    ],
)
def test_a_wrong_type_is_refused(name: str, value: Any) -> None:
    """A time without a zone, a word for a status, a tag that is a path."""
    with pytest.raises(RequestInvalid, match=f"^{name}: "):
        Selection(**{name: value})


def test_a_long_value_is_not_told_whole() -> None:
    """It may be what somebody else sent."""
    with pytest.raises(RequestInvalid) as told:
        Selection(kind="\0" * 10_000)
    assert len(str(told.value)) < 200
