"""Five hundred who listen to one `web`: what they cost it, and how soon they are told.

Each listens for a request of its own. Changes are written as workers write them, at an even pace;
the time is from right before the write to the event's arrival, both by this process's clock.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from itertools import cycle, islice
from statistics import quantiles

from agent.embedded.ports import HOST
from benchmarks.bench import Bench, BenchmarkFailed, Room, Size
from benchmarks.contexts import insert, new_documents
from benchmarks.processes import cpu_seconds
from benchmarks.report import Part, Row, at_most
from benchmarks.web import SECRET, Web, running_web

LISTENERS = Size(500, quick=500)
CHANGES = Size(1500, quick=300)
A_SECOND = 50
PATIENCE_SECONDS = 60


class Told:
    """One who listens: the attempts that it was told of, and when."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self.is_listening = asyncio.Event()

    async def listen(self, port: int, context_id: str) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(
            f"GET /v1/requests/{context_id}/events HTTP/1.1\r\nHost: {HOST}\r\n"
            f"Authorization: Bearer {SECRET}\r\n\r\n".encode()
        )
        try:
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    self.at[json.loads(line[6:])["attempt"]] = time.perf_counter()
                    self.is_listening.set()
        finally:
            writer.close()


def measure(bench: Bench) -> Part:
    count, changes = bench.sized(LISTENERS), bench.sized(CHANGES)
    bench.say(f"listeners: {count}, and {changes} changes, {A_SECOND} a second")
    with bench.service() as service, bench.room() as room, running_web(bench, room, service) as web:
        ids = insert(room, new_documents(count, room.clock.now()))
        before = web.megabytes
        news, held, cpu = asyncio.run(_listened(room, web, ids, changes))
    percentiles = quantiles(news, n=100)
    rows = [
        Row(f"{count} listeners: news p50", percentiles[49], "ms", None,
            f"{changes} changes, {A_SECOND}/s"),
        Row(f"{count} listeners: news p99", percentiles[98], "ms", at_most(1000),
            f"the longest: {max(news):.0f} ms"),
        Row(f"{count} listeners: memory of web", held, "MB", None,
            f"{before:.0f} MB without them; {cpu:.0%} of a core"),
    ]  # fmt: skip
    return Part("listeners", rows, {"milliseconds": [round(each, 2) for each in news]})


async def _listened(
    room: Room, web: Web, ids: list[str], changes: int
) -> tuple[list[float], float, float]:
    """How long each change took to be told; the memory of `web`, and its share of a core."""
    listeners = {context_id: Told() for context_id in ids}
    tasks = [asyncio.create_task(told.listen(web.port, each)) for each, told in listeners.items()]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(told.is_listening.wait() for told in listeners.values()))
        used, begin = cpu_seconds(web.handle.pid or 0) or 0.0, time.monotonic()
        written = await _change(room, ids, changes)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all(number in listeners[each].at for number, (each, _) in written.items()):
                await asyncio.sleep(0.05)
        cpu = ((cpu_seconds(web.handle.pid or 0) or 0.0) - used) / (time.monotonic() - begin)
    except TimeoutError as exc:
        raise BenchmarkFailed(f"not all was told within {PATIENCE_SECONDS} s") from exc
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    news = [1000 * (listeners[each].at[number] - at) for number, (each, at) in written.items()]
    return news, web.peak_megabytes, cpu


async def _change(room: Room, ids: list[str], changes: int) -> dict[int, tuple[str, float]]:
    """Change one after the other: two changes of one context are seconds apart, so that they are
    not told as one."""
    written: dict[int, tuple[str, float]] = {}
    begin = time.monotonic()
    for number, context_id in enumerate(islice(cycle(ids), changes), 1):
        await asyncio.sleep(max(0.0, begin + number / A_SECOND - time.monotonic()))
        written[number] = context_id, time.perf_counter()
        await asyncio.to_thread(_write, room, context_id, number)
    return written


def _write(room: Room, context_id: str, number: int) -> None:
    update = {"$set": {"attempt": number, "updated_at": datetime.now(UTC)}}
    room.database["contexts"].update_one({"_id": context_id}, update)
