"""Counts what clients ask MongoDB, by the name of the command, on the way between the two.

The servers' own counters lump `hello` together with other commands, and not all count alike; what
goes over the wire is what there is.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from agent.embedded.ports import HOST

HEADER = struct.Struct("<iiii")
OP_MSG, OP_QUERY = 2013, 2004
PIECE = 64 * 1024
UNKNOWN = "(unknown)"


class CountingProxy:
    """Stands between MongoDB's clients and one server, in a thread of its own.

    Clients must connect directly (`directConnection=true`), or they learn of the server behind it.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server_address = (host, port)
        self._counts: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.port = 0

    def take(self) -> Counter[str]:
        """How often each command was sent since it was last asked."""
        taken, self._counts = self._counts, Counter()
        return taken

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._serve, HOST, 0)
        server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _end(self) -> None:
        """Cut what is left of the connections."""
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it."""
        there: asyncio.StreamWriter | None = None
        try:
            replies, there = await asyncio.open_connection(*self._server_address)
            asked = asyncio.create_task(self._count(reader, there))
            answered = asyncio.create_task(_pass_on(replies, writer))
            _, rest = await asyncio.wait({asked, answered}, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
        except OSError:
            return
        finally:
            for end in (writer, there):
                if end is not None:
                    end.close()

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                header = await reader.readexactly(HEADER.size)
                length, _, _, opcode = HEADER.unpack(header)
                body = await reader.readexactly(length - HEADER.size)
                self._counts[command_name(opcode, body)] += 1
                writer.write(header + body)
                await writer.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()


def command_name(opcode: int, body: bytes) -> str:
    """The command that one message of the wire protocol carries: its document's first field."""
    if opcode == OP_MSG:
        return next((_first_field(document) for document in _bodies(body)), UNKNOWN)
    if opcode == OP_QUERY:  # the first `hello` of a connection; its collection is named `$cmd`
        end = body.index(b"\0", 4)
        return _first_field(body[end + 9 :])
    return UNKNOWN


def _bodies(message: bytes) -> Iterator[bytes]:
    """The sections of kind 0 of an OP_MSG, behind its flags; there is one, wherever it stands."""
    at = 4
    while at + 5 <= len(message):
        kind = message[at]
        size: int = struct.unpack_from("<i", message, at + 1)[0]
        if kind == 0:
            yield message[at + 1 : at + 1 + size]
        at += 1 + size


def _first_field(document: bytes) -> str:
    """The name of the first field of a BSON document: behind its size and the field's type."""
    return document[5 : document.index(b"\0", 5)].decode()


def behind_proxy(uri: str, port: int) -> str:
    """The URI of the same MongoDB by way of the proxy; user and options stay."""
    parts = urlsplit(uri)
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    options = [
        option
        for option in parts.query.split("&")
        if option and not option.lower().startswith("replicaset=")
    ]
    query = "&".join((*options, "directConnection=true"))
    return f"mongodb://{user}{HOST}:{port}{parts.path or '/'}?{query}"
