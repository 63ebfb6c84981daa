"""The bucket of tokens of each key."""

import pytest

from agent.api.rate_limit import RateLimit


def test_a_burst_and_then_the_rate() -> None:
    """Two seconds' worth at once, then one as often as the rate says."""
    now = [100.0]
    limit = RateLimit(5.0, monotonic=lambda: now[0])
    assert [limit.take("a") for _ in range(10)] == [0.0] * 10
    assert limit.take("a") == pytest.approx(0.2)
    now[0] += 0.2
    assert limit.take("a") == 0.0
    assert limit.take("a") > 0


def test_each_name_has_its_own() -> None:
    """One that asks too much takes nothing from another."""
    limit = RateLimit(0.5, monotonic=lambda: 0.0)
    assert limit.take("a") == 0.0
    assert limit.take("a") == pytest.approx(2.0)
    assert limit.take("b") == 0.0


def test_a_bucket_does_not_overflow() -> None:
    """A night of silence gives no right to a flood."""
    now = [0.0]
    limit = RateLimit(5.0, monotonic=lambda: now[0])
    limit.take("a")
    now[0] += 1e6
    assert sum(limit.take("a") == 0.0 for _ in range(50)) == 10
