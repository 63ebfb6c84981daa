"""From the insert of a context to the arrival of its call, at fifty inserts a second.

Another program inserts, one document at a time, and rings no bell. Both times are of this machine's
clock: the one right before the driver is asked to insert, the other in the service.
"""

from __future__ import annotations

import time
from statistics import median, quantiles

from benchmarks.bench import Bench, Room, Size
from benchmarks.contenders import Line
from benchmarks.contexts import new_documents
from benchmarks.report import Part, Row, at_most
from benchmarks.stage import staged

INSERTS_A_SECOND = 50
SECONDS = Size(30, quick=6)
WARM_UP = 200
SETTLE_SECONDS = 8.0
"""So that the bridge leads and listens: a system that has been up for a while is measured."""


def measure(bench: Bench) -> Part:
    count = INSERTS_A_SECOND * bench.sized(SECONDS)
    bench.say(f"pickup: {count} inserts, {INSERTS_A_SECOND} a second")
    with staged(bench, Line()) as stage:
        stage.warm_up(WARM_UP)
        time.sleep(SETTLE_SECONDS)
        inserted, took = insert_steadily(stage.room, count)
        stage.wait_until_done(count)
        arrived = stage.service.arrivals()
    waits = [1000 * (arrived[context_id] - at) for context_id, at in inserted.items()]
    percentiles = quantiles(waits, n=100)
    detail = f"{len(waits)} contexts; the insert alone, p50: {median(took):.1f} ms"
    rows = [
        Row("pickup: p50", percentiles[49], "ms", at_most(20), detail),
        Row("pickup: p99", percentiles[98], "ms", at_most(80), f"the longest: {max(waits):.1f} ms"),
    ]
    return Part("pickup", rows, {"milliseconds": [round(wait, 2) for wait in waits]})


def insert_steadily(room: Room, count: int) -> tuple[dict[str, float], list[float]]:
    """Insert at an even pace; when each insert began, by id, and the milliseconds each took."""
    inserted: dict[str, float] = {}
    took: list[float] = []
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begin + number / INSERTS_A_SECOND - time.monotonic()))
        [document] = new_documents(1, room.clock.now())
        inserted[document["_id"]] = at = time.time()
        room.database["contexts"].insert_one(document)
        took.append(1000 * (time.time() - at))
    return inserted, took
