"""One contender at work: its database, its Base service, its processes, and waiting for its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from agent.embedded import Handle
from agent.models import Status
from benchmarks.bench import Bench, BenchmarkFailed, Room, Service
from benchmarks.contenders import Contender
from benchmarks.contexts import SERVICE_TYPE, insert, new_documents
from benchmarks.processes import busy_seconds, cpu_seconds, family

LOOK_SECONDS = 0.2
STUCK_SECONDS = 60.0
"""Without one more call or completion in this time, it has come to a stand."""
OTHERS = "others"
LEAST_LEFT = 0.5
"""Of all contexts, when the clock starts."""


class Pace(NamedTuple):
    """What was completed while the clock ran."""

    per_second: float
    counted: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A contender that is up, with what it needs around it."""

    bench: Bench
    contender: Contender
    room: Room
    service: Service
    handles: tuple[Handle, ...]

    def warm_up(self, count: int) -> None:
        """Imports, connections, and the first turn of every path; nothing of it is left."""
        ids = insert(self.room, new_documents(count, self.room.clock.now()))
        self.contender.tell(self.room, ids)
        self.wait_until_done(count)
        self.room.database["contexts"].delete_many({})
        self.service.reset()

    def drain(self, count: int, at_start: Callable[[], None] = lambda: None) -> Pace:
        """Have so many contexts carried out, as fast as it goes.

        The clock starts when all are inserted, and stops at the last completion. What was completed
        before it started does not count: who finds work by itself begins at the first insert.

        Raises:
            BenchmarkFailed: see `wait_until_done`; or most was completed before.
        """
        ids = insert(self.room, new_documents(count, self.room.clock.now()))
        start = self.room.clock.now()
        at_start()
        self.contender.tell(self.room, ids)
        self.wait_until_done(count)
        completed = [at for at in self._completions(count) if at > start]
        if len(completed) < count * LEAST_LEFT:
            raise BenchmarkFailed(f"only {len(completed)} of {count} were left when all had come")
        seconds = (max(completed) - start) / timedelta(seconds=1)
        return Pace(len(completed) / seconds, len(completed))

    def wait_until_done(self, count: int) -> None:
        """Wait until so many contexts are called and completed, at five cheap looks a second.

        MongoDB is asked only once the service has seen every key.

        Raises:
            BenchmarkFailed: a process ended, a context failed, or nothing moves any more.
        """
        seen, moved_at = -1, time.monotonic()
        while True:
            done = self.service.counts()["keys"]
            if done >= count:
                completed = self._count(Status.COMPLETED)
                if completed >= count:
                    return
                done += completed
            if done > seen:
                seen, moved_at = done, time.monotonic()
            stuck = time.monotonic() - moved_at > STUCK_SECONDS
            if stuck or not all(handle.alive for handle in self.handles):
                statuses = {str(status): self._count(status) for status in Status}
                what = f"{count} contexts are done ({statuses})"
                self.bench.wait_until(lambda: False, what, 0, self.handles)
            time.sleep(LOOK_SECONDS)

    def cpu(self) -> dict[str, float]:
        """The CPU seconds used up to now, by kind of process; `producer` is this one, `others` is
        whatever else the machine does."""
        processes: list[tuple[str, int | None]] = [
            (handle.process.name, handle.pid) for handle in (*self.handles, self.service.handle)
        ]
        used = {"producer": cpu_seconds(os.getpid())}
        for name, pid in (*processes, *self.bench.servers.pids.items()):
            kind = name.rstrip("-0123456789")
            used[kind] = (used.get(kind) or 0.0) + (cpu_seconds(*family(pid)) or 0.0 if pid else 0)
        known = {name: seconds for name, seconds in used.items() if seconds is not None}
        busy = busy_seconds()
        return known | ({} if busy is None else {OTHERS: busy - sum(known.values())})

    def _completions(self, count: int) -> list[datetime]:
        """When each was completed, by the database's clock.

        Raises:
            BenchmarkFailed: not so many contexts are completed with the service's reply.
        """
        fields = {"completed_at": 1, "status": 1, "results": 1}
        found = list(self.room.database["contexts"].find({}, fields))
        good: list[datetime] = [
            document["completed_at"]
            for document in found
            if document["status"] == Status.COMPLETED
            and document.get("results") == {"success": True}
        ]
        if len(good) != count or len(found) != count:
            raise BenchmarkFailed(f"{len(good)} of {len(found)} contexts are completed")
        return good

    def _count(self, status: Status) -> int:
        return self.room.database["contexts"].count_documents(
            {"service_type": SERVICE_TYPE, "status": str(status)}
        )


@contextmanager
def staged(bench: Bench, contender: Contender, *, latency: float = 0.0) -> Iterator[Stage]:
    """A contender with a service of this latency, started for this time."""
    with bench.service(latency) as service, bench.room(contender.indexes) as room:
        handles = contender.start(bench, room, service)
        try:
            yield Stage(bench, contender, room, service, handles)
        finally:
            bench.stop(*handles)


def milliseconds_each(
    before: Mapping[str, float], after: Mapping[str, float], count: int
) -> dict[str, float]:
    """The CPU time between two looks, for each of so many contexts."""
    return {name: round(1000 * (after[name] - before[name]) / count, 3) for name in after}
