"""How failures of the last day are drawn."""

from __future__ import annotations

from agent.dashboard.pictures.trend import HEIGHT, LEAST, trend_of


def test_the_highest_bar_has_all_the_height_and_the_lowest_can_be_seen() -> None:
    """None is drawn where nothing failed."""
    trend = trend_of((0, 1, 1000))
    assert [bar.height for bar in trend.bars] == [0, LEAST, HEIGHT]
    assert [bar.y for bar in trend.bars] == [HEIGHT, HEIGHT - LEAST, 0]
    assert trend.says == "1,000 in the last two hours, 1,001 in the last day"


def test_a_quiet_day_says_so() -> None:
    """Whatever failed before."""
    assert trend_of((0, 0)).says == "none in the last day"
    assert trend_of(()).bars == []
