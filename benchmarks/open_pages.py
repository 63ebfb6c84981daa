"""What fifty open pages of the dashboard cost the line: its throughput with them, and without.

Both take turns in one system, first without and then with, then the other way round, so that
whatever else the machine does hits both alike; the ratio is the median of those of each turn.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.bench import Bench, BenchmarkFailed, Size
from benchmarks.contenders import Line
from benchmarks.crowd import crowd
from benchmarks.processes import cpu_seconds
from benchmarks.report import Part, Row, at_least
from benchmarks.stage import OTHERS, Stage, milliseconds_each, staged
from benchmarks.visitor import Visitor, settings_of_users
from benchmarks.web import Web, running_web

CONTEXTS = Size(6000, quick=1500, slow=400)
WARM_UP = Size(500, quick=500, slow=100)
TURNS = Size(6, quick=2, slow=2)
SETTLE_SECONDS = 60
PATHS = {
    "": 15, "/services": 8, "/workers": 4, "/bridge": 2, "/contexts": 5,
    "/contexts?status=pending": 5, "/retries": 5, "/dead": 2, "/requests": 2, "/schedules": 2,
}  # fmt: skip
"""Which pages are open, and how often each."""
MARK = at_least(0.90)


@dataclass(frozen=True, slots=True)
class Drained:
    """So many contexts carried out.

    Args:
        cpu_ms: for each of them, by kind of process.
    """

    per_second: float
    cpu_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of both."""

    without: Drained
    beside: Drained
    pages_a_second: float

    @property
    def ratio(self) -> float:
        return self.beside.per_second / self.without.per_second


def measure(bench: Bench) -> Part:
    count = bench.sized(CONTEXTS)
    turns: list[Turn] = []
    with (
        staged(bench, Line()) as stage,
        running_web(bench, stage.room, stage.service, settings_of_users()) as web,
    ):
        visitor = Visitor(web.port)
        stage.warm_up(bench.sized(WARM_UP))
        for number in range(1, bench.sized(TURNS) + 1):
            turns.append(_turn(stage, web, visitor.cookie, count, first=bool(number % 2)))
            bench.say(
                f"open pages, turn {number}: {turns[-1].without.per_second:.0f}/s without,"
                f" {turns[-1].beside.per_second:.0f}/s with them"
            )
        visitor.close()
    return _part(turns, count)


def _turn(stage: Stage, web: Web, cookie: str, count: int, *, first: bool) -> Turn:
    """Both ways, `first` without."""
    without = _drained(stage, web, count) if first else None
    paths = [path for path, how_often in PATHS.items() for _ in range(how_often)]
    with crowd(web.port, cookie, paths) as people:
        if not people.has_settled.wait(SETTLE_SECONDS):
            raise BenchmarkFailed("not every page has looked")
        began, fetched = time.monotonic(), people.fetched
        beside = _drained(stage, web, count)
        pages = (people.fetched - fetched) / (time.monotonic() - began)
    return Turn(without or _drained(stage, web, count), beside, pages)


def _drained(stage: Stage, web: Web, count: int) -> Drained:
    """Nothing of the contexts is left."""
    before: dict[str, float] = {}

    def cpu() -> dict[str, float]:
        own = cpu_seconds(web.handle.pid or 0) or 0.0
        used = stage.cpu()
        return {**used, "web": own, OTHERS: used.get(OTHERS, 0.0) - own}

    pace = stage.drain(count, lambda: before.update(cpu()))
    cpu_ms = milliseconds_each(before, cpu(), pace.counted)
    stage.room.database["contexts"].delete_many({})
    stage.service.reset()
    return Drained(pace.per_second, cpu_ms)


def _part(turns: list[Turn], count: int) -> Part:
    ratios = [turn.ratio for turn in turns]
    open_pages = sum(PATHS.values())
    pages = median(turn.pages_a_second for turn in turns)
    rows, data = [], dict[str, Any](contexts=count, pages_a_second=round(pages, 2))
    for name, what, found in (
        ("without", "the line without", [turn.without for turn in turns]),
        ("with", f"the line with {open_pages}", [turn.beside for turn in turns]),
    ):
        paces = [each.per_second for each in found]
        rows.append(Row(f"open pages: {what}", median(paces), "contexts/s", None, _detail(found)))
        data[name] = [round(each, 1) for each in paces]
        data[f"{name}, cpu_ms_per_context"] = [each.cpu_ms for each in found]
    rows.append(
        Row("open pages: with ÷ without", median(ratios), "times", MARK,
            f"{min(ratios):.2f}…{max(ratios):.2f}; {pages:.1f} pages/s")
    )  # fmt: skip
    return Part("open-pages", rows, {**data, "ratios": [round(each, 3) for each in ratios]})


def _detail(found: list[Drained]) -> str:
    """The range, what each context cost, and how busy the machine was with something else."""
    used = {name: median(each.cpu_ms[name] for each in found) for name in found[0].cpu_ms}
    used.pop(OTHERS)
    others = median(each.cpu_ms[OTHERS] * each.per_second / 1000 for each in found)
    costs = ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in used.items())
    paces = [each.per_second for each in found]
    return (
        f"{min(paces):.0f}…{max(paces):.0f}; CPU ms each: {sum(used.values()):.2f} ({costs});"
        f" cores busy with others: {others:.1f}"
    )
