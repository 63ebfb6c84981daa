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
TICKS = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time, in percent of the whole."""

    kind: Literal["wait", "run"]
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
    """All of it."""

    rows: list[Row]
    ticks: list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    length: timedelta

    def bar(
        self, kind: Literal["wait", "run"], outcome: str, start: datetime, end: datetime
    ) -> Bar:
        left = min(100.0, max(0.0, 100 * ((start - self.begin) / self.length)))
        width = min(100 - left, max(LEAST_PERCENT, 100 * ((end - start) / self.length)))
        done = "waited" if kind == "wait" else "ran"
        return Bar(kind, outcome, round(left, 3), round(max(width, 0.0), 3),
                   f"{done} {span(end - start)}")  # fmt: skip


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
    ticks = [(0.0, "0")] + [
        (100.0 * each / TICKS, f"+{span(scale.length * each / TICKS)}")
        for each in range(1, TICKS + 1)
    ]
    return Timeline(rows, ticks)


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
        yield Row("Now", [scale.bar("wait", "", at, until)])


def _end(document: Document, now: datetime, begin: datetime) -> datetime:
    times = [_date(each.get(name)) for each in _attempts(document)
             for name in ("started_at", "finished_at")]  # fmt: skip
    if document.get("status") in FINAL:
        times.append(_date(document.get("completed_at")))
    else:
        times += [now, _date(document.get("available_at"))]
    return max([each for each in times if each is not None], default=begin)


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
