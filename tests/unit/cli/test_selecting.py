"""`--all`: which contexts the words of a command mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.cli.arguments import read_past, read_status, read_tag
from agent.cli.selecting import choose
from agent.errors import RequestInvalid
from agent.models import Status

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ids", "everything", "narrowed", "told"),
    [
        (None, False, {}, "give ids, or --all"),
        (["a"], True, {}, "not both"),
        (["a"], False, {"service": "X"}, "--service: goes with --all only"),
        (["a"], False, {"dry_run": True}, "--dry-run: goes with --all only"),
        (["a"], False, {"limit": 1}, "--limit: goes with --all only"),
        (None, False, {"yes": True}, "--yes: goes with --all only"),
    ],
)
def test_ids_and_all_do_not_mix(
    ids: list[str] | None, everything: bool, narrowed: dict[str, Any], told: str
) -> None:
    """Nor is an option overlooked that would have meant fewer."""
    with pytest.raises(RequestInvalid, match=told):
        choose(ids, everything, narrowed)


def test_ids_or_all_are_chosen() -> None:
    """Options that were not given do not count."""
    assert choose(["a", "b"], False, {"service": None, "yes": False}) == ["a", "b"]
    assert choose(None, True, {"service": "X", "yes": True}) is None


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("90", NOW - timedelta(seconds=90)),
        ("2026-04-30T10:00:00Z", datetime(2026, 4, 30, 10, tzinfo=UTC)),
        ("2026-04-30T10:00:00.123000+00:00", datetime(2026, 4, 30, 10, 0, 0, 123000, tzinfo=UTC)),
    ],
)
def test_a_time_in_the_past(word: str, expected: datetime) -> None:
    """How long ago, or when."""
    assert read_past("--since", word, NOW) == expected


@pytest.mark.parametrize("word", ["soon", "", "99999999999d", "+2h"])
def test_what_is_no_time_in_the_past_is_refused(word: str) -> None:
    """By the name of the option."""
    with pytest.raises(RequestInvalid, match=r"^--since: "):
        read_past("--since", word, NOW)


def test_a_tag_is_a_pair_or_a_word() -> None:
    """The first `=` parts them."""
    assert read_tag("team=a=b") == ("team", "a=b")
    assert read_tag("user:42") == "user:42"


def test_a_status_is_read_in_any_case() -> None:
    """One that there is not names those that there are."""
    assert read_status("--status", "Failed") is Status.FAILED
    with pytest.raises(RequestInvalid, match="--status: 'lost' is none of waiting"):
        read_status("--status", "lost")
