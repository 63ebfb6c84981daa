"""A TCP proxy that a test cuts, stalls and slows down; for any protocol, Redis and MongoDB alike.

It runs on a loop of its own in a thread of its own. Its methods return when what they ask for is
so, and `links`, `refused` and `stalled` let a test see from outside that a fault really fired.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from agent.embedded.ports import HOST, accepts, free_port

ANSWER_SECONDS = 10.0


class Proxy:
    """Stands between clients and one server.

    Args:
        host, port: where the server is.
        at: the address that it listens on.
    """

    def __init__(self, host: str, port: int, *, at: str = HOST) -> None:
        self.server = (host, port)
        self.at = at
        self.port = free_port()
        self.loop = asyncio.new_event_loop()
        self.delay_seconds = 0.0
        self.lost_answers = 0
        self._trigger: bytes | None = None
        self._unanswered: bytes | None = None
        self._flows = True
        self._links: set[_Link] = set()
        self._listener: asyncio.Server | None = None
        self._thread = threading.Thread(target=self.loop.run_forever, name="proxy", daemon=True)

    @classmethod
    def before(cls, url: str, *, at: str = HOST) -> Proxy:
        """One in front of the server that a URL names."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port, at=at)

    def through(self, url: str) -> str:
        """The same URL by way of the proxy.

        A MongoDB client connects directly, or it would learn of the server behind.
        """
        parts = urlsplit(url)
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        query = parts.query
        if parts.scheme == "mongodb":
            options = [each for each in parse_qsl(query) if each[0].lower() != "replicaset"]
            query = urlencode([*options, ("directConnection", "true")])
        path = parts.path or "/"
        return urlunsplit(
            parts._replace(netloc=f"{user}{self.at}:{self.port}", path=path, query=query)
        )

    # What a test sees

    @property
    def links(self) -> int:
        """How many connections there are."""
        return len(self._links)

    @property
    def refused(self) -> bool:
        """Whether nobody can connect."""
        return not accepts(self.port)

    @property
    def stalled(self) -> bool:
        """Whether it keeps what comes."""
        return not self._flows

    # What a test does

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self._do(self._cut())
        assert self.refused

    def stall(self) -> None:
        """Keep what comes, both ways, as a network does that loses every packet."""
        self._do(self._stall())

    def stall_at(self, text: bytes) -> None:
        """Stall as soon as a client sends this, and keep the piece that it stands in."""
        self._trigger = text

    def lose_answer_to(self, text: bytes) -> None:
        """Pass on what a client sends next that has this in it, and end its connection in place of
        the answer: it was done, and the client does not know."""
        self._unanswered = text

    def delay(self, seconds: float) -> None:
        """Forward each piece so much later."""
        self.delay_seconds = seconds

    def mend(self) -> None:
        """Be a good network again. What a client sent that is gone is lost."""
        self._do(self._mend())
        assert not self.refused

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._cut())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(ANSWER_SECONDS)
        self.loop.close()

    # On the loop

    def add(self, link: _Link) -> None:
        self._links.add(link)

    def remove(self, link: _Link) -> None:
        self._links.discard(link)

    def lets_through(self, data: bytes, *, from_client: bool) -> bool:
        """Whether this piece may go on now; it may be the one to stall at."""
        if from_client and self._trigger is not None and self._trigger in data:
            self._trigger, self._flows = None, False
        return self._flows

    def loses_answer_to(self, data: bytes) -> bool:
        """Whether this is the piece whose answer is to be lost."""
        if self._unanswered is None or self._unanswered not in data:
            return False
        self._unanswered = None
        return True

    async def _listen(self) -> None:
        self._listener = await self.loop.create_server(
            lambda: _Link(self).client, self.at, self.port
        )

    async def _cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for link in list(self._links):
            link.end()
        await asyncio.sleep(0)  # the transports close in the loop's next turn

    async def _stall(self) -> None:
        self._flows = False

    async def _mend(self) -> None:
        self._flows, self.delay_seconds, self._trigger = True, 0.0, None
        self._unanswered = None
        for link in list(self._links):
            link.go_on()
        if self._listener is None:
            await self._listen()

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(ANSWER_SECONDS)


class _Link:
    """One client's connection and the one behind it; they end together."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.client = _End(self, from_client=True)
        self.server = _End(self, from_client=False)
        self.loses_answer = False
        self._connecting: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self.proxy.add(self)
        self._connecting = self.proxy.loop.create_task(self._connect())

    def go_on(self) -> None:
        self.client.flush()
        self.server.flush()

    def end(self) -> None:
        self.proxy.remove(self)
        for end in (self.client, self.server):
            end.held.clear()
            if end.transport is not None:
                end.transport.abort()

    async def _connect(self) -> None:
        try:
            await self.proxy.loop.create_connection(lambda: self.server, *self.proxy.server)
        except OSError:
            self.end()
            return
        if self not in self.proxy._links:  # the client left meanwhile
            self.end()
        self.client.flush()


class _End(asyncio.Protocol):
    """One side of a link: passes what it gets to the other side, in order."""

    def __init__(self, link: _Link, *, from_client: bool) -> None:
        self.link = link
        self.transport: asyncio.Transport | None = None
        self.held: deque[bytes] = deque()
        self._from_client = from_client
        self._writes_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._from_client:
            self.link.begin()

    def data_received(self, data: bytes) -> None:
        proxy = self.link.proxy
        if self._from_client:
            self.link.loses_answer = self.link.loses_answer or proxy.loses_answer_to(data)
        elif self.link.loses_answer:
            proxy.lost_answers += 1
            self.link.end()
            return
        self.held.append(data)
        if proxy.lets_through(data, from_client=self._from_client):
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.end()

    def flush(self) -> None:
        """Pass on what is held."""
        other = self.link.server if self._from_client else self.link.client
        proxy = self.link.proxy
        if other.transport is None or proxy.stalled:
            return
        while self.held:
            data = self.held.popleft()
            if not proxy.delay_seconds and self._writes_at <= proxy.loop.time():
                other.transport.write(data)
                continue
            self._writes_at = max(self._writes_at, proxy.loop.time() + proxy.delay_seconds)
            proxy.loop.call_at(self._writes_at, other.transport.write, data)
