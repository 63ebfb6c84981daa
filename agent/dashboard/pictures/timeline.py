"""The attempts of a context as bars to scale: how long it waited, how long each call took. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from agent.models import FINAL, Document
from agent.words import span

LEAST_PERCENT = 0.4
"""What is shorter is drawn as long as this, or it could not be seen."""
MOST_TICKS = 5
"""Behind the first one; more could not be read on a telephone."""
SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86400
STEPS = (
    *(digit * 10.0**power for power in (-3, -2, -1) for digit in (1, 2, 5)),
    *(each * SECOND for each in (1, 2, 5, 10, 20, 30)),
    *(each * MINUTE for each in (1, 2, 5, 10, 20, 30)),
    *(each * HOUR for each in (1, 2, 4, 6, 12)), *(each * DAY for each in (1, 2, 5, 10, 20, 50)),
)  # fmt: skip
"""Seconds from one tick to the next, as clocks have them."""

Kind = Literal["wait", "ahead", "run"]
DONE: Mapping[Kind, str] = {"wait": "waited", "ahead": "is to wait", "run": "ran"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time, in percent of the whole; `ahead` is a wait that is still to come."""

    kind: Kind
    outcome: str
    start: float
    width: float
    says: str


@dataclass(frozen=True, slots=True)
class Row:
    """An attempt, or the time since the last one."""

    name: str
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it.

    Args:
        ticks: where they are, in percent, and what they say.
        shown: the kinds and outcomes of its bars, for the legend.
        total, called: how long all of it, and its calls, took so far.
    """

    rows: list[Row]
    ticks: list[tuple[float, str]]
    shown: frozenset[str]
    total: str
    called: str


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    length: timedelta

    def bar(self, kind: Kind, outcome: str, start: datetime, end: datetime) -> Bar:
        left = min(100.0, max(0.0, 100 * ((start - self.begin) / self.length)))
        width = min(100 - left, max(LEAST_PERCENT, 100 * ((end - start) / self.length)))
        return Bar(kind, outcome, round(left, 3), round(max(width, 0.0), 3),
                   f"{DONE[kind]} {span(end - start)}")  # fmt: skip

    def ticks(self) -> list[tuple[float, str]]:
        """At round times, the first of them where it begins."""
        length = self.length.total_seconds()
        step = next((each for each in STEPS if length / each <= MOST_TICKS), length / MOST_TICKS)
        count = int(length / step + 1e-9)
        return [(round(100 * step * each / length, 3), _tick(step * each))
                for each in range(count + 1)]  # fmt: skip


def timeline_of(document: Document, now: datetime) -> Timeline | None:
    """The timeline of a context; None where nothing is known."""
    created = _date(document.get("created_at"))
    kept = _attempts(document)
    starts = [_date(each.get("started_at")) for each in kept]
    dropped = bool(kept) and _number(kept[0].get("number")) > 1
    begin = next((each for each in starts if each), None) if dropped else created
    if begin is None:
        return None
    end = _end(document, now, begin)
    scale = _Scale(begin, max(end - begin, timedelta(milliseconds=1)))
    rows = list(_rows(document, kept, scale, begin, now))
    bars = [bar for row in rows for bar in row.bars]
    return Timeline(
        rows=rows,
        ticks=scale.ticks(),
        shown=frozenset(bar.outcome if bar.kind == "run" else bar.kind for bar in bars),
        total=span(max(min(end, max(now, begin)) - begin, timedelta())),
        called=span(sum(map(_took, kept), timedelta())),
    )


def _rows(
    document: Document, kept: list[Mapping[str, Any]], scale: _Scale, at: datetime, now: datetime
) -> Iterator[Row]:
    for each in kept:
        start, end = _date(each.get("started_at")), _date(each.get("finished_at"))
        start = start or end
        if start is None:
            continue
        end = end or start
        outcome = str(each.get("outcome", ""))
        bars = [scale.bar("run", outcome, start, end)]
        if start > at:
            bars.insert(0, scale.bar("wait", "", at, start))
        yield Row(f"Call {each.get('number', '?')}", bars)
        at = max(at, end)
    yield from _last_row(document, scale, at, now)


def _last_row(document: Document, scale: _Scale, at: datetime, now: datetime) -> Iterator[Row]:
    """What it does now, if it is not over."""
    status = str(document.get("status"))
    started = _date(document.get("started_at"))
    if status in FINAL:
        return
    if status == "processing" and started is not None and started >= at:
        bars = [scale.bar("wait", "", at, started)] if started > at else []
        yield Row("Now", [*bars, scale.bar("run", "running", started, max(now, started))])
    else:
        until = max(now, at, _date(document.get("available_at")) or now)
        bars = [scale.bar("wait", "", at, now)] if now > at else []
        if until > max(now, at):
            bars.append(scale.bar("ahead", "", max(now, at), until))
        yield Row("Now", bars)


def _end(document: Document, now: datetime, begin: datetime) -> datetime:
    times = [_date(each.get(name)) for each in _attempts(document)
             for name in ("started_at", "finished_at")]  # fmt: skip
    if document.get("status") in FINAL:
        times.append(_date(document.get("completed_at")))
    else:
        times += [now, _date(document.get("available_at"))]
    return max([each for each in times if each is not None], default=begin)


def _took(attempt: Mapping[str, Any]) -> timedelta:
    start, end = _date(attempt.get("started_at")), _date(attempt.get("finished_at"))
    return max(end - start, timedelta()) if start is not None and end is not None else timedelta()


def _tick(seconds: float) -> str:
    """A round time: `200 ms`, `90 s`, `5 min`."""
    if 0 < seconds < SECOND:
        return f"{1000 * seconds:.0f} ms"
    size, unit = next(((size, unit) for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"))
                       if seconds >= 2 * size), (SECOND, "s"))  # fmt: skip
    return f"{round(seconds / size, 1):g} {unit}"


def _attempts(document: Document) -> list[Mapping[str, Any]]:
    listed = document.get("attempts")
    return (
        [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    )


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _date(value: Any) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
