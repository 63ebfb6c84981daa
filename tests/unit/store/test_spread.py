"""Many new beginnings spread in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.errors import RequestInvalid
from agent.store.spread import Spread

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


def test_so_many_begin_a_minute() -> None:
    """The first at once; 1,204 at 60 a minute are over after 20 minutes."""
    spread = Spread(NOW, 60)
    assert [spread.at(place) - NOW for place in (0, 1, 60)] == [
        timedelta(0), timedelta(seconds=1), timedelta(minutes=1),
    ]  # fmt: skip
    assert spread.lasts(1204) == timedelta(seconds=1203)
    assert spread.lasts(0) == spread.lasts(1) == timedelta(0)


@pytest.mark.parametrize("rate", [0, -1, 100_001])
def test_a_rate_is_a_number_that_can_be_meant(rate: int) -> None:
    """None would never end, and too high a one is none."""
    with pytest.raises(RequestInvalid, match="from 1 to 100,000"):
        Spread(NOW, rate)
