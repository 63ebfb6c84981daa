"""Values in words, and texts that are shown without being obeyed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.words import ago, milliseconds, moment, shortened, span, visible

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Grüße, 世界 🎉", "Grüße, 世界 🎉"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("two\nlines\tand", "two\\nlines\\tand"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u00a0b", "a b"),
        ("a\x9bb", "a\\x9bb"),
        ("a\udc80b", "a\\udc80b"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, expected: str) -> None:
    """Colours, new lines and reversed text of somebody else's never reach a terminal."""
    assert visible(text) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5, "0.0 s"), (0.44, "0.4 s"), (12, "12 s"), (119, "119 s"), (180, "3 min"),
     (7200, "2 h"), (86400 * 3, "3 d")],
)  # fmt: skip
def test_a_span_is_told_in_the_unit_that_tells_most(seconds: float, expected: str) -> None:
    """Two of a unit at least, or the smaller one."""
    assert span(timedelta(seconds=seconds)) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(8.4, "8 ms"), (812, "812 ms"), (1430, "1.4 s"), (75_000, "75 s")]
)
def test_durations_of_calls(value: float, expected: str) -> None:
    """Milliseconds, until seconds are shorter."""
    assert milliseconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NOON, "2026-05-01 12:00:00 UTC"),
        (NOON.replace(tzinfo=None), "2026-05-01 12:00:00 UTC"),
        (NOON.astimezone(timezone(timedelta(hours=2))), "2026-05-01 12:00:00 UTC"),
        (None, "-"),
        ("2024-05-01\x1b", "2024-05-01\\x1b"),
        ("x" * 100, "x" * 39 + "…"),
    ],
)
def test_moments_are_in_utc(value: object, expected: str) -> None:
    """What is no date is shown as it stands, short and harmless."""
    assert moment(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(NOON - timedelta(seconds=30), "30 s"), (NOON + timedelta(hours=5), "in 5 h"), ("x", "-")],
)
def test_how_long_ago_and_in_how_long(value: object, expected: str) -> None:
    """What is ahead says so."""
    assert ago(value, NOON) == expected


def test_a_text_that_is_too_long_says_so() -> None:
    """Its last character is an ellipsis."""
    assert [shortened("abcdef", 4), shortened("abcd", 4)] == ["abc…", "abcd"]
