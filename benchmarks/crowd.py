"""Fifty people with a page open, each of which is told of changes and then asks for itself again.

As the script of the pages does it: never sooner than a second after the last time, or five where
it is a list, never more than two commands of MongoDB a second, and every ten seconds if nothing was
told, or every two where Redis has what is shown.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from agent.embedded.ports import HOST
from benchmarks.bench import BenchmarkFailed
from benchmarks.visitor import HOME

LEAST_SECONDS, LEAST_OF_LISTS = 1.0, 5.0
QUIET_SECONDS, QUIET_OF_REDIS = 10.0, 2.0
LISTS = ("/contexts", "/requests", "/dead", "/audit")
OF_REDIS = ("/retries", "/workers")
COMMANDS = 2
PATIENCE_SECONDS = 60
STREAM = b"event: changed"


class Crowd:
    """Open pages, each with its stream."""

    def __init__(self, port: int, cookie: str, paths: list[str]) -> None:
        self._port = port
        self._cookie = cookie
        self._paths = paths
        self._looked: set[int] = set()
        self.fetched = 0
        self.has_settled = threading.Event()
        """Every page has looked once."""

    async def stay(self, until: asyncio.Event) -> None:
        """Keep the pages open."""
        pages = [asyncio.create_task(self._page(*each)) for each in enumerate(self._paths)]
        over = asyncio.create_task(until.wait())
        try:
            done, _ = await asyncio.wait([over, *pages], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (over, *pages):
                task.cancel()
            await asyncio.gather(over, *pages, return_exceptions=True)

    async def _page(self, number: int, path: str) -> None:
        news = asyncio.Event()
        place = path.split("?", maxsplit=1)[0]
        least = LEAST_OF_LISTS if place in LISTS else LEAST_SECONDS
        quiet = QUIET_OF_REDIS if place in OF_REDIS else QUIET_SECONDS
        listening = asyncio.create_task(self._listen(news))
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), quiet)
                news.clear()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    cost = await self._fetch(path)
                self.fetched += 1
                self._looked.add(number)
                if len(self._looked) == len(self._paths):
                    self.has_settled.set()
                if listening.done():
                    listening.result()
                await asyncio.sleep(max(least, cost / COMMANDS))
        finally:
            listening.cancel()

    async def _listen(self, news: asyncio.Event) -> None:
        """Stay with the stream; a `web` that stops ends it, which is no news."""
        reader, writer = await asyncio.open_connection(HOST, self._port)
        self._ask(writer, f"{HOME}/live?turn=-1")
        try:
            if b" 200 " not in await reader.readline():
                raise BenchmarkFailed("the stream of changes does not open")
            while line := await reader.readline():
                if line.startswith(STREAM):
                    news.set()
        finally:
            writer.close()

    def _ask(self, writer: asyncio.StreamWriter, path: str, more: str = "") -> None:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{self._port}\r\n"
            f"Cookie: {self._cookie}\r\n{more}\r\n".encode()
        )

    async def _fetch(self, path: str) -> int:
        """Read a page to its end; how many commands it cost."""
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            self._ask(writer, f"{HOME}{path}", "HX-Request: true\r\nConnection: close\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            await reader.read()
        finally:
            writer.close()
        status, *lines = head.split("\r\n")
        if " 200 " not in status:
            raise BenchmarkFailed(f"{path}: {status}")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        return int(headers.get("agent-cost", 0))


@contextmanager
def crowd(port: int, cookie: str, paths: list[str]) -> Iterator[Crowd]:
    """People who look at these pages meanwhile, on a thread of their own.

    Raises:
        BenchmarkFailed: a page did not come.
    """
    people, loop, over = Crowd(port, cookie, paths), asyncio.new_event_loop(), asyncio.Event()
    failed: list[BaseException] = []

    def look() -> None:
        try:
            loop.run_until_complete(people.stay(over))
        except (BenchmarkFailed, OSError, TimeoutError, asyncio.IncompleteReadError) as exc:
            failed.append(exc)
        finally:
            people.has_settled.set()

    thread = threading.Thread(target=look, name="crowd")
    thread.start()
    try:
        yield people
    finally:
        with suppress(RuntimeError):  # it is closed: they have left
            loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
    if failed:
        raise BenchmarkFailed(f"an open page: {failed[0]!r}") from failed[0]
