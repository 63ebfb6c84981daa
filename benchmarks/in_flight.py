"""Five hundred calls of a second each, at once, in one worker process."""

from __future__ import annotations

from agent.embedded import Handle
from benchmarks.bench import Bench, BenchmarkFailed, Size
from benchmarks.contenders import Line
from benchmarks.processes import cpu_seconds, family, peak_megabytes, threads
from benchmarks.report import Part, Row, at_least, at_most
from benchmarks.stage import staged

CALLS = 500
LATENCY_SECONDS = 1.0
ROUNDS = Size(20, quick=6, slow=3)
"""The ideal in seconds: so many times the service's latency."""


def measure(bench: Bench) -> Part:
    rounds = bench.sized(ROUNDS)
    count = rounds * CALLS
    bench.say(f"in flight: {count} calls of {LATENCY_SECONDS:g} s, {CALLS} at once")
    with staged(bench, Line(processes=1, threads=CALLS), latency=LATENCY_SECONDS) as stage:
        stage.warm_up(CALLS)
        worker = _worker(stage.handles)
        before: list[float] = []
        pace = stage.drain(count, lambda: before.append(cpu_seconds(worker) or 0.0))
        cpu_ms = 1000 * ((cpu_seconds(worker) or 0.0) - before[0]) / pace.counted
        megabytes = peak_megabytes(worker)
    ideal = CALLS / LATENCY_SECONDS
    share = 100 * pace.per_second / ideal
    detail = f"{pace.per_second:.0f} calls a second, ideally {ideal:.0f}; {count} calls"
    rows = [
        Row(f"in flight: {CALLS} in one process", share, "% of ideal", at_least(90), detail),
        Row("in flight: memory", megabytes, "MB", at_most(150), "the most the process held"),
        Row("in flight: CPU", cpu_ms, "ms/call", detail="of the worker process"),
    ]
    data = {
        "calls": count,
        "calls_per_second": pace.per_second,
        "share_of_ideal": share / 100,
        "megabytes": megabytes,
        "cpu_ms_per_call": cpu_ms,
    }
    return Part("in-flight", rows, data)


def _worker(handles: tuple[Handle, ...]) -> int:
    """The process that has the threads, a child of Dramatiq's master."""
    members = [member for handle in handles if handle.pid for member in family(handle.pid)]
    busiest = max(members, key=threads, default=0)
    if threads(busiest) < CALLS:
        raise BenchmarkFailed(f"no process has {CALLS} threads; is there a /proc?")
    return busiest
