"""How a service answered its calls in the last hour: by status, and how fast. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from agent.dashboard.pictures.histogram import Histogram, histogram_of
from agent.dashboard.seen.recent import together
from agent.projections import reply_words as words
from agent.projections.minute_view import Series
from agent.projections.minutes import LATENCY_BOUNDS

MOST_ANSWERS = 10

SAYS: Mapping[str, str] = {
    words.OK: "2xx",
    words.REFUSED: "2xx that says it failed",
    words.UNUSABLE: "2xx that cannot be used",
    words.TIMEOUT: "timeout",
    words.UNREACHABLE: "connection failed",
    words.NO_REPLY: "sent, no whole reply",
    words.NOT_SENT: "could not be sent",
    words.TOO_LARGE: "reply too large",
    words.TLS: "TLS refused",
    words.OTHER: "other",
}
"""Each word of `reply_words` for people; a status has its phrase."""
PHRASES = {str(each.value): f"{each.value} {each.phrase}" for each in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Answer:
    """So many calls were answered alike.

    Args:
        share: from 0 to 1.
        tone: of its bar, named as an outcome.
    """

    says: str
    count: int
    share: float
    tone: str


@dataclass(frozen=True, slots=True)
class Answers:
    """All calls of one service in the last hour."""

    total: int
    answers: list[Answer]
    histogram: Histogram | None
    is_exact: bool


def answers_of(series: Series) -> Answers:
    """What a series tells; that went well first, then the most frequent."""
    counts = together(series.replies)
    total = sum(counts.values())
    ranked = sorted(
        words.bounded(counts, MOST_ANSWERS).items(),
        key=lambda each: (each[0] != words.OK, each[0] == words.OTHER, -each[1]),
    )
    return Answers(
        total=total,
        answers=[Answer(said(w), n, n / total, _tone(w)) for w, n in ranked if n > 0],
        histogram=histogram_of(_added(series.latencies)),
        is_exact=series.is_exact,
    )


def said(word: str) -> str:
    """An answer in words for people: `503 Service Unavailable`, `timeout`."""
    return SAYS.get(word) or PHRASES.get(word) or word


def _tone(word: str) -> str:
    if word == words.OK:
        return "completed"
    if word == words.OTHER:
        return "wait"
    return "retry" if word == words.THROTTLING else "failed"


def _added(rows: Iterable[Iterable[int]]) -> list[int]:
    total = [0] * (len(LATENCY_BOUNDS) + 1)
    for row in rows:
        total = [mine + more for mine, more in zip(total, row, strict=True)]
    return total
