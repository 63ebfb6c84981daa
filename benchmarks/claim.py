"""How long a claim of a hundred contexts takes while many more wait, over all priorities."""

from __future__ import annotations

import time
from datetime import timedelta
from statistics import median
from typing import Any

from agent.store.mongo_context_repository import MongoContextRepository
from benchmarks.bench import Bench, BenchmarkFailed, Room
from benchmarks.contexts import SERVICE_TYPE, insert, new_documents
from benchmarks.report import Part, Row

BACKLOGS, QUICK_BACKLOGS = (1_000, 10_000, 100_000), (1_000, 10_000)
AT_ONCE = 100
CLAIMS = 20
LEASE = timedelta(seconds=60)
PATIENCE_SECONDS = 180.0
"""A backlog that would take longer than this to insert is left out."""
CLAIM_SECONDS = 5.0
"""As is one of which a claim would take longer than this, by what the last one took."""


def measure(bench: Bench) -> Part:
    rows: list[Row] = []
    data: dict[str, Any] = {}
    with bench.room() as room:
        repository = MongoContextRepository(room.client, room.clock, room.settings)
        waiting, insert_seconds, claim_seconds = 0, 0.0, 0.0
        for backlog in QUICK_BACKLOGS if bench.quick else BACKLOGS:
            what = f"claim: {AT_ONCE} of {backlog:,}"
            to_insert, to_claim = (backlog - waiting) * insert_seconds, backlog * claim_seconds
            if to_insert > PATIENCE_SECONDS or to_claim > CLAIM_SECONDS:
                detail = f"left out: {to_insert:.0f} s to insert, {to_claim:.0f} s a claim"
                rows.append(Row(what, None, "ms", detail=detail))
                continue
            bench.say(f"claim: filling up to {backlog} pending contexts")
            began = time.monotonic()
            insert(room, new_documents(backlog - waiting, room.clock.now(), spread=True))
            insert_seconds = (time.monotonic() - began) / (backlog - waiting)
            waiting = backlog
            times = time_claims(repository, room)
            claim_seconds = median(times) / 1000 / backlog
            data[str(backlog)] = [round(milliseconds, 2) for milliseconds in times]
            detail = f"{min(times):.1f}…{max(times):.1f}"
            rows.append(Row(what, median(times), "ms", detail=detail))
    return Part("claim", rows, data)


def time_claims(repository: MongoContextRepository, room: Room) -> list[float]:
    """Claim several times, each time filling up what was taken; milliseconds of each."""
    times: list[float] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(times) < CLAIMS and (not times or time.monotonic() < deadline):
        began = time.perf_counter()
        claims = repository.claim(SERVICE_TYPE, calls=AT_ONCE, lease=LEASE, owner="benchmark")
        times.append(1000 * (time.perf_counter() - began))
        if len(claims) != AT_ONCE:
            raise BenchmarkFailed(f"{len(claims)} contexts were claimed, not {AT_ONCE}")
        insert(room, new_documents(AT_ONCE, room.clock.now(), spread=True))
    return times
