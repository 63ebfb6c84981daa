"""What the death of one process costs: the pace of the rest, and how soon its work is done by them.

The service takes its time, so that threads are what there is too little of, and a dead process is
missed by its share of them and no more.
"""

from __future__ import annotations

import os
import signal
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from agent.embedded import Handle
from agent.projections.presence import Presence
from benchmarks.bench import Bench, Size
from benchmarks.contenders import Line
from benchmarks.contexts import insert, new_documents
from benchmarks.processes import family
from benchmarks.report import Part, Row, at_least, at_most
from benchmarks.stage import Stage, staged

WORKERS = 4
THREADS = 8
LATENCY_SECONDS = 0.2
CONTEXTS = Size(8000, quick=6400, slow=6400)
"""As long as it takes for the lease of the dead to run out, and some seconds more."""
BEFORE = timedelta(seconds=5)
KILLED_AFTER = 1200
"""Calls, by when the pace is steady."""
LEASE_SECONDS, RESCUE_SECONDS, PART_COMPANY_SECONDS = 30, 5, 10
LEAD_SECONDS = 10
SETTLING = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Crash:
    """What was found when one process had been killed.

    Args:
        completions: when each context was completed, in order.
        at: when the process was dead, by the same clock.
        held: how many contexts it took with it.
        taken_back: when the last of these was taken back by its lease.
    """

    completions: Sequence[datetime]
    at: datetime
    held: int
    taken_back: datetime

    def pace(self, start: datetime, end: datetime) -> float:
        """Completions a second between two times."""
        found = bisect_right(self.completions, end) - bisect_left(self.completions, start)
        return found / ((end - start) / timedelta(seconds=1))

    @property
    def longest_gap(self) -> float:
        """Seconds without any completion, at most, from the crash on."""
        after = [at for at in self.completions if at >= self.at]
        return max((b - a for a, b in pairwise([self.at, *after])), default=timedelta()) / (
            timedelta(seconds=1)
        )


def measure(bench: Bench) -> Part:
    """A worker process is killed, then, in a run of its own, the leading bridge."""
    worker, bridge = _worker_killed(bench), _bridge_killed(bench)
    return Part("crashes", [*worker[0], *bridge[0]], {"worker": worker[1], "bridge": bridge[1]})


def _worker_killed(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    with staged(bench, Line(WORKERS, THREADS), latency=LATENCY_SECONDS) as stage:
        crash = _kill_amid(stage, stage.handles[-1])
    before = crash.pace(crash.at - BEFORE, crash.at)
    rest = crash.pace(crash.at + SETTLING, crash.at + timedelta(seconds=LEASE_SECONDS))
    left = (WORKERS - 1) / WORKERS
    came_back = (crash.taken_back - crash.at) / timedelta(seconds=1)
    rows = [
        Row("crash of 1 worker of 4: pace of the rest", rest / (before * left), "of its share",
            at_least(0.95), f"{before:.0f}/s before, {rest:.0f}/s after, ideally "
            f"{before * left:.0f}/s"),
        Row("crash of 1 worker of 4: its contexts taken back", came_back, "s after",
            at_most(LEASE_SECONDS + RESCUE_SECONDS + 1),
            f"all {crash.held}, to run again as late as {PART_COMPANY_SECONDS} s after that, and "
            f"behind what waits longer; lease {LEASE_SECONDS} s, rescue every {RESCUE_SECONDS} s"),
    ]  # fmt: skip
    data = {
        "before": before,
        "after": rest,
        "held": crash.held,
        "taken_back_after_seconds": came_back,
    }
    return rows, data


def _bridge_killed(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    line = Line(WORKERS, THREADS)
    with staged(bench, line, latency=LATENCY_SECONDS) as stage:
        leading = stage.handles[0]
        second = line.start_bridge(bench, stage.room, stage.service)
        try:
            crash = _kill_amid(replace(stage, handles=(*stage.handles, second)), leading)
        finally:
            bench.stop(second)
    rows = [
        Row("crash of the leading bridge: longest silence", crash.longest_gap, "s",
            at_most(LEAD_SECONDS + 2), f"a second one stands by; the lead is leased for "
            f"{LEAD_SECONDS} s"),
    ]  # fmt: skip
    return rows, {"longest_gap_seconds": crash.longest_gap}


def _kill_amid(stage: Stage, victim: Handle) -> Crash:
    """Kill a process once the pace is steady, and have the others do the rest."""
    bench, room = stage.bench, stage.room
    stage.warm_up(WORKERS * THREADS * 4)
    count = bench.sized(CONTEXTS)
    bench.say(f"crashes: {victim.process.name} is killed amid {count} contexts")
    stage.contender.tell(room, insert(room, new_documents(count, room.clock.now())))
    bench.wait_until(
        lambda: stage.service.counts()["calls"] >= KILLED_AFTER,
        f"{KILLED_AFTER} calls were made", 120, stage.handles,
    )  # fmt: skip
    held = _held_by(stage, victim)
    _kill(bench, victim)
    at = room.clock.now()
    rest = replace(stage, handles=tuple(each for each in stage.handles if each is not victim))
    rest.wait_until_done(count)
    fields = {"completed_at": 1, "attempts.outcome": 1, "attempts.finished_at": 1}
    found = list(room.database["contexts"].find({"status": "completed"}, fields))
    lost = [
        attempt["finished_at"]
        for document in found
        if document["_id"] in held
        for attempt in document["attempts"]
        if attempt["outcome"] == "lost"
    ]
    completions = sorted(document["completed_at"] for document in found)
    return Crash(completions, at, len(lost), max(lost, default=at))


def _held_by(stage: Stage, victim: Handle) -> list[Any]:
    """The contexts that a process is carrying out."""
    room = stage.room
    members = family(victim.pid) if victim.pid else []
    views = Presence(room.redis, room.settings.namespace).live()
    owners = [view.worker_id for view in views if view.pid in members]
    found = room.database["contexts"].find(
        {"status": "processing", "lease.owner": {"$in": owners}}, {"_id": 1}
    )
    return [document["_id"] for document in found]


def _kill(bench: Bench, victim: Handle) -> None:
    """SIGKILL to its whole group, as a machine dies."""
    pid = victim.pid
    assert pid is not None
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    bench.wait_until(lambda: not victim.alive, f"{victim.process.name} is dead", 10, interval=0.01)
