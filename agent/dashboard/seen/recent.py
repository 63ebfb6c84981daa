"""What each service did in the last minutes, in the figures that people ask for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.projections.minute_view import Series
from agent.projections.reply_words import OK, OTHER, THROTTLING

MINUTES = 5
"""Whole minutes that count as the last ones."""
FEWEST_CALLS = 10
"""Of fewer calls a share says nothing."""


@dataclass(frozen=True, slots=True)
class Recent:
    """One service.

    Args:
        completed, failed: a minute.
        calls: in all these minutes; `bad` of them brought no result.
        p50, p95: seconds, of the latest minute that had calls.
        replies: how these calls were answered, by the words of `reply_words`.
        throttled: which part of the calls of this minute and the last was answered 429, if
            they are enough to say so.
    """

    completed: float = 0.0
    failed: float = 0.0
    calls: int = 0
    bad: int = 0
    p50: float | None = None
    p95: float | None = None
    replies: Mapping[str, int] = field(default_factory=dict)
    throttled: float = 0.0

    @property
    def bad_share(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.bad / self.calls) if self.calls else 0.0

    @property
    def worst(self) -> tuple[str, float]:
        """What calls were answered most often beside what went well, and how large a part."""
        bad = [(count, word) for word, count in self.replies.items() if word != OK]
        count, word = max(bad, default=(0, OTHER))
        return word, count / max(1, sum(self.replies.values()))


def recent_of(series: Series, minutes: int = MINUTES) -> Recent:
    """The last whole minutes of a series of single minutes, whose last one is not over yet."""
    last = slice(-minutes - 1, -1)
    now = together(series.replies[-2:])
    completed, failed = sum(series.completed[last]), sum(series.failed[last])
    return Recent(
        completed=completed / minutes,
        failed=failed / minutes,
        calls=sum(series.calls[last]),
        bad=failed + sum(series.retried[last]),
        p50=_latest(series.p50[-minutes - 1 :]),
        p95=_latest(series.p95[-minutes - 1 :]),
        replies=together(series.replies[last]),
        throttled=now[THROTTLING] / now.total() if now.total() >= FEWEST_CALLS else 0.0,
    )


def charted(series: Series, width: int, now: float) -> dict[str, Any]:
    """A series as a chart draws it: rates a minute, and no step that has only just begun.

    Args:
        width: minutes that one step stands for.
        now: by the clock of the series, in seconds since 1970.
    """
    elapsed = (now - series.starts[-1]) / 60 if series.starts else 0.0
    count = len(series.starts) - (elapsed < 1)
    spans = [width] * (count - 1) + [min(width, elapsed if count == len(series.starts) else width)]

    def rate(counts: Sequence[int]) -> list[float]:
        return [round(each / span, 2) for each, span in zip(counts, spans, strict=False)]

    return {
        "starts": series.starts[:count],
        "completed": rate(series.completed),
        "failed": rate(series.failed),
        "p50": _rounded(series.p50[:count]),
        "p95": _rounded(series.p95[:count]),
        "pending": series.pending[:count],
        "scheduled": series.scheduled[:count],
        "in_flight": series.in_flight[:count],
    }


def is_idle(series: Series) -> bool:
    """Whether there is nothing to draw."""
    waited: Iterable[int | None] = (*series.pending, *series.scheduled, *series.in_flight)
    return not (any(series.calls) or any(series.completed) or any(series.failed) or any(waited))


def together(replies: Iterable[Mapping[str, int]]) -> Counter[str]:
    """How often each word was counted in all of these."""
    total: Counter[str] = Counter()
    for each in replies:
        total.update(each)
    return total


def _latest(values: Sequence[float | None]) -> float | None:
    return next((each for each in reversed(values) if each is not None), None)


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if each is None else round(each, 4) for each in values]
