"""How fast a change of many goes."""

from __future__ import annotations

import pytest

from agent.errors import RequestInvalid
from agent.store.pace import BATCH, Pace


def test_without_a_rate_nothing_waits() -> None:
    """Whole batches, one after the other."""
    waited: list[float] = []
    pace = Pace(None, monotonic=lambda: 0.0, wait=waited.append)
    pace.keep(10**6)
    assert (pace.batch, waited) == (BATCH, [])


def test_a_rate_is_kept_on_the_whole() -> None:
    """The time that a batch took counts; who is late does not wait."""
    times, waited = iter([100.0, 100.0, 100.4, 110.0]), list[float]()
    pace = Pace(50, monotonic=lambda: next(times), wait=waited.append)
    for done in (0, 50, 100):
        pace.keep(done)
    assert waited == pytest.approx([0.6])


@pytest.mark.parametrize(("rate", "batch"), [(0.1, 1), (1, 1), (2.9, 2), (50, 50), (10**6, BATCH)])
def test_a_batch_is_what_a_second_may_have(rate: float, batch: int) -> None:
    """So that a pace shows within a second, and a round trip stays bounded."""
    assert Pace(rate).batch == batch


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_is_above_nothing(rate: float) -> None:
    """It would never end, or begin."""
    with pytest.raises(RequestInvalid, match="rate"):
        Pace(rate)
