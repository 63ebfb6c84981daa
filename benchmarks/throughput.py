"""Contexts a second with a service that answers at once, beside three other ways to do the work.

The contenders take turns (A B C A B C …), each started afresh and warmed up, so that whatever else
the machine does hits all alike; ratios are medians of the ratios within one turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.bench import Bench, Size
from benchmarks.contenders import BareLoop, CeleryWorkers, Contender, Line, Poller
from benchmarks.report import Part, Row, at_least
from benchmarks.stage import OTHERS, milliseconds_each, staged

CONTEXTS = Size(4000, quick=1000, slow=400)
WARM_UP = Size(500, quick=500, slow=100)
POLLER_CONTEXTS = 50
"""It takes a second for five, whatever their number."""
TURNS = Size(5, quick=2, slow=2)
MARKS = {BareLoop.name: at_least(0.7), CeleryWorkers.name: at_least(1.4), Poller.name: None}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender did in one turn."""

    per_second: float
    cpu_ms: dict[str, float]
    """For each context, by kind of process."""
    calls_twice: int


def measure(bench: Bench) -> Part:
    """Every contender in every turn."""
    count = bench.sized(CONTEXTS)
    turns: list[dict[str, Turn]] = []
    for number in range(1, bench.sized(TURNS) + 1):
        turn: dict[str, Turn] = {}
        for contender in (Line(), BareLoop(), CeleryWorkers(), Poller()):
            name = contender.name
            turn[name] = run(bench, contender, count)
            bench.say(f"throughput, turn {number}: {name} {turn[name].per_second:.0f}/s")
        turns.append(turn)
    return _part(turns, count)


def run(bench: Bench, contender: Contender, count: int) -> Turn:
    """One contender, from its start to its stop."""
    slow = isinstance(contender, Poller)
    count = POLLER_CONTEXTS if slow else count
    with staged(bench, contender) as stage:
        stage.warm_up(5 if slow else bench.sized(WARM_UP))
        before: dict[str, float] = {}
        pace = stage.drain(count, lambda: before.update(stage.cpu()))
        cpu_ms = milliseconds_each(before, stage.cpu(), pace.counted)
        counts = stage.service.counts()
    return Turn(pace.per_second, cpu_ms, counts["calls"] - counts["keys"])


def _part(turns: list[dict[str, Turn]], count: int) -> Part:
    rows: list[Row] = []
    data: dict[str, Any] = {"contexts": count}
    for name in turns[0]:
        mine = [turn[name] for turn in turns]
        data[name] = {
            "per_second": [round(turn.per_second, 1) for turn in mine],
            "cpu_ms_per_context": [turn.cpu_ms for turn in mine],
            "calls_twice": sum(turn.calls_twice for turn in mine),
        }
        figure = median(turn.per_second for turn in mine)
        rows.append(Row(f"throughput: {name}", figure, "contexts/s", detail=_detail(mine)))
    for other, mark in MARKS.items():
        ratios = [turn[Line.name].per_second / turn[other].per_second for turn in turns]
        data[f"ratio to {other}"] = [round(ratio, 3) for ratio in ratios]
        what = f"throughput: {Line.name} ÷ {other}"
        rows.append(Row(what, median(ratios), "times", mark, _range(ratios, ".2f")))
    return Part("throughput", rows, data)


def _detail(turns: Sequence[Turn]) -> str:
    """The range, what each context cost, and how busy the machine was with something else."""
    used = {name: median(turn.cpu_ms[name] for turn in turns) for name in turns[0].cpu_ms}
    used.pop(OTHERS, None)
    costs = ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in used.items())
    others = median(turn.cpu_ms.get(OTHERS, 0.0) * turn.per_second / 1000 for turn in turns)
    return (
        f"{_range([turn.per_second for turn in turns], '.0f')};"
        f" CPU ms each: {sum(used.values()):.2f} ({costs}); cores busy with others: {others:.1f}"
    )


def _range(values: Sequence[float], how: str) -> str:
    return f"{min(values):{how}}…{max(values):{how}}"
