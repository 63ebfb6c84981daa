"""A batch of very many rows: how fast they are taken and become contexts, and what `web` holds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlencode

from benchmarks.bench import Bench, BenchmarkFailed, Room, Service, Size
from benchmarks.contenders import Line
from benchmarks.report import Part, Row, at_least, at_most
from benchmarks.web import HEADERS, TEMPLATE, ask, running_web

ITEMS = Size(50_000, quick=20_000, slow=5_000)
ROWS = Size(1_000_000, quick=100_000, slow=50_000)
ROWS_AT_ONCE = 500
PATIENCE_SECONDS = 600
PLACE = "/v1/batches/upload"
LATER = "2090-01-01T00:00:00Z"
"""Items that nobody claims: their making is measured, and nothing else."""


def measure(bench: Bench) -> Part:
    """One batch is uploaded and made, then a larger one only uploaded."""
    with bench.service() as service, bench.room() as room:
        made, pace = _made(bench, room, service)
    with bench.service() as service, bench.room() as room:
        taken, data = _taken(bench, room, service)
    return Part("batches", [*made, *taken], {"items_per_second": pace, **data})


def _made(bench: Bench, room: Room, service: Service) -> tuple[list[Row], float]:
    """How fast the bridge makes contexts of rows."""
    count = bench.sized(ITEMS)
    bench.say(f"batches: {count} rows become contexts")
    with running_web(bench, room, service) as web:
        connection = web.connect()
        bridge = Line(processes=0).start_bridge(bench, room, service)
        try:
            leads = room.database["agent_locks"]
            bench.wait_until(leads.find_one, "the bridge leads", 60, (bridge,))
            begin = time.monotonic()
            told = _upload(connection, count)
            accepted = time.monotonic() - begin
            parent = room.database["contexts"]
            bench.wait_until(
                lambda: parent.find_one({"_id": told["id"], "expanding": {"$exists": False}}),
                "all items are made", PATIENCE_SECONDS, (bridge, web.handle), 0.05,
            )  # fmt: skip
            whole = time.monotonic() - begin
        finally:
            bench.stop(bridge)
        if parent.count_documents({"parent_id": told["id"]}) != count:
            raise BenchmarkFailed("there are not as many items as rows")
    row = Row("batch: rows become contexts", count / whole, "/s", at_least(5000),
              f"{count:,} rows, taken at {count / accepted:,.0f}/s and made meanwhile or "
              "after")  # fmt: skip
    return [row], count / whole


def _taken(bench: Bench, room: Room, service: Service) -> tuple[list[Row], dict[str, float]]:
    """What an upload costs `web`; there is no bridge."""
    count = bench.sized(ROWS)
    bench.say(f"batches: {count} rows are uploaded")
    with running_web(bench, room, service) as web:
        connection = web.connect()
        before = web.megabytes
        begin = time.monotonic()
        _upload(connection, count)
        seconds = time.monotonic() - begin
        peak = web.peak_megabytes
    row = Row(f"upload of {count:,} rows: most memory of web", peak, "MB", at_most(150),
              f"{before:.0f} MB before; {count / seconds:,.0f} rows/s")  # fmt: skip
    return [row], {"peak_megabytes": peak, "rows_per_second": count / seconds}


def _upload(connection: HTTPConnection, count: int) -> dict[str, str]:
    asked = urlencode({"template": json.dumps(TEMPLATE), "available_at": LATER})
    headers = {**HEADERS, "Content-Type": "text/csv"}
    told = ask(connection, "POST", f"{PLACE}?{asked}", _rows(count), headers)
    if told["total"] != count:
        raise BenchmarkFailed(f"{told['total']} of {count} rows were taken")
    return dict(told)


def _rows(count: int) -> Iterator[bytes]:
    yield b"user_id,name,city,figure\r\n"
    for start in range(0, count, ROWS_AT_ONCE):
        rows = range(start, min(start + ROWS_AT_ONCE, count))
        yield "".join(f"user-{n},Customer {n},Springfield,{n % 97}.5\r\n" for n in rows).encode()
