"""How long calls took, as a picture: a bar for each bound, as high as it has calls. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from agent.projections.minute_view import quantile
from agent.projections.minutes import LATENCY_BOUNDS
from agent.words import milliseconds, span

HEIGHT = 64
"""Of the highest bar, in pixels."""
LEAST_HEIGHT = 2
"""What is lower is drawn as high as this, or it could not be seen."""
FILLED = 0.84
"""Of the width of a bar's place."""
MOST_MARKS = 6
"""Words below the bars; on a narrow page more of them would run into each other."""

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Bar:
    """So many calls: where they stand, across in percent and down in pixels, and the same in
    words."""

    x: float
    width: float
    y: int
    height: int
    says: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A bound between two bars."""

    x: float
    says: str
    anchor: Anchor


@dataclass(frozen=True, slots=True)
class Histogram:
    """The picture of some calls."""

    bars: list[Bar]
    marks: list[Mark]
    p50: float
    p95: float
    says: str


def histogram_of(counts: Sequence[int]) -> Histogram | None:
    """The picture; None where there was no call.

    Args:
        counts: by the bounds of the minutes, the last one of what took longer than any.
    """
    total, p50, p95 = sum(counts), quantile(counts, 0.5), quantile(counts, 0.95)
    if p50 is None or p95 is None:
        return None
    filled = [place for place, count in enumerate(counts) if count]
    first, last = filled[0], filled[-1]
    bars = [
        _bar(counts, place, place - first, last - first + 1) for place in range(first, last + 1)
    ]
    says = (
        f"{total:,} call{'' if total == 1 else 's'}: half of them took "
        f"{milliseconds(1000 * p50)} at most, 19 of 20 {milliseconds(1000 * p95)}"
    )
    return Histogram(bars, _marks(first, last), p50, p95, says)


def _bar(counts: Sequence[int], place: int, column: int, columns: int) -> Bar:
    count, step = counts[place], 100 / columns
    height = max(LEAST_HEIGHT, round(HEIGHT * count / max(counts))) if count else 0
    return Bar(
        x=round(step * (column + (1 - FILLED) / 2), 3),
        width=round(step * FILLED, 3),
        y=HEIGHT - height,
        height=height,
        says=_range(place),
        count=count,
        share=count / sum(counts),
    )


def _marks(first: int, last: int) -> list[Mark]:
    """The bounds of the bars: both ends, and between them as many as there is room for."""
    places = range(first, last + 2)
    every = -(-(len(places) - 1) // (MOST_MARKS - 1))
    # one that stands too close to the end would run into it
    kept = [at for at in places[:-1:every] if at == first or places[-1] - at >= every]
    return [
        Mark(round(100 * (at - first) / (len(places) - 1), 3), _edge(at), _anchor(at, places))
        for at in (*kept, places[-1])
    ]


def _anchor(at: int, places: range) -> Anchor:
    return "start" if at == places[0] else "end" if at == places[-1] else "middle"


def _edge(place: int) -> str:
    """The bound below the calls of this place."""
    if place == 0:
        return "0"
    return _duration(LATENCY_BOUNDS[place - 1]) if place <= len(LATENCY_BOUNDS) else "longer"


def _range(place: int) -> str:
    """Which calls a bar stands for."""
    if place == len(LATENCY_BOUNDS):
        return f"more than {_edge(place)}"
    if place == 0:
        return f"at most {_edge(1)}"
    return f"{_edge(place)} to {_edge(place + 1)}"


def _duration(seconds: float) -> str:
    """A bound, short: `25 ms`, `2.5 s`, `5 min`."""
    if seconds < 1:
        return milliseconds(1000 * seconds)
    return f"{seconds:g} s" if seconds < 120 else span(timedelta(seconds=seconds))
