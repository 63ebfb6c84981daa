"""How long something is kept, as people write it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.durations import LONGEST, read_kept


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("4w", timedelta(weeks=4)),
        (60, timedelta(minutes=1)),
        (f"{LONGEST.days}d", LONGEST),
        ("never", "never"),
    ],
)
def test_a_duration_is_read(word: str | int, expected: object) -> None:
    """In the units that people use, as seconds, or for ever."""
    assert read_kept(word) == expected


@pytest.mark.parametrize(
    "word", ["", "30", "d", "-1d", "1.5d", "0d", " 30d", "30d\n", "59s", 59, 0, -1, "36501d", 2**63]
)
def test_anything_else_is_refused(word: str | int) -> None:
    """So short that nobody could read it, or beyond what a date holds, too."""
    with pytest.raises(ValueError, match="must be"):
        read_kept(word)
