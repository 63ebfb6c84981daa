"""How many failed in each two hours of the last day, as small bars with the same in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

HEIGHT, WIDTH, GAP = 22, 6, 2
"""Of the highest bar, of each of them, and between two, in pixels."""
LEAST = 2
"""What is lower is drawn as high as this, or it could not be seen."""


class Bar(NamedTuple):
    """Two hours, by the corner of their bar."""

    x: int
    y: int
    height: int


class Trend(NamedTuple):
    """The picture."""

    width: int
    bars: Sequence[Bar]
    says: str


def trend_of(counts: Sequence[int]) -> Trend:
    """The picture of some counts, the latest last."""
    most = max(counts, default=0)
    heights = [max(LEAST, round(HEIGHT * each / most)) if each else 0 for each in counts]
    bars = [
        Bar(place * (WIDTH + GAP), HEIGHT - height, height) for place, height in enumerate(heights)
    ]
    return Trend(len(counts) * (WIDTH + GAP), bars, _says(counts))


def _says(counts: Sequence[int]) -> str:
    whole, last = sum(counts), counts[-1] if counts else 0
    if not whole:
        return "none in the last day"
    return f"{last:,} in the last two hours, {whole:,} in the last day"
