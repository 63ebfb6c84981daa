"""A Base service that costs next to nothing, so that a measurement does not measure it.

`python -m benchmarks.service PORT LATENCY` answers every POST with `{"success": true}` after so
many seconds, and notes when the first call under each idempotency key arrived.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable

BODY = b'{"success": true}'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
END_OF_HEAD = b"\r\n\r\n"


class Record:
    """What has arrived since the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.calls = 0
        self.arrivals: dict[str, float] = {}
        """Seconds since the epoch, by idempotency key."""

    def note(self, key: str) -> None:
        self.calls += 1
        self.arrivals.setdefault(key, time.time())


class Connection(asyncio.Protocol):
    """One keep-alive connection: reads heads and bodies by their length, and nothing more."""

    def __init__(self, record: Record, latency: float) -> None:
        self._record = record
        self._latency = latency
        self._received = b""
        self._write: Callable[[bytes], None] = lambda _: None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        while (end := self._received.find(END_OF_HEAD)) >= 0:
            head = self._received[:end]
            whole = end + len(END_OF_HEAD) + int(_header(head, b"content-length") or 0)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if not head.startswith(b"POST /api"):
            self._write(self._control(head))
            return
        self._record.note(_header(head, b"idempotency-key").decode())
        if self._latency:
            self._loop.call_later(self._latency, self._write, REPLY)
        else:
            self._write(REPLY)

    def _control(self, head: bytes) -> bytes:
        if head.startswith(b"POST /reset"):
            self._record.reset()
        if head.startswith(b"GET /arrivals"):
            body = json.dumps(self._record.arrivals).encode()
        else:
            counts = {"calls": self._record.calls, "keys": len(self._record.arrivals)}
            body = json.dumps(counts).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _header(head: bytes, name: bytes) -> bytes:
    lowered = head.lower()
    start = lowered.find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else None].strip()


async def serve(port: int, latency: float) -> None:
    record = Record()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(record, latency), "127.0.0.1", port, backlog=2048
    )
    await server.serve_forever()


if __name__ == "__main__":
    gc.disable()  # it makes no cycles, and a collection among 10,000 keys would show in the pickup
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
