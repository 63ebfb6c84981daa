"""The record of calls: the newest in memory, and all of them in a file where there is one."""

import json
import os
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from agent.sandbox.incoming import Headers

REMEMBERED_CALLS = 100_000


@dataclass(slots=True)
class CallRecord:
    """One work call or status poll, as it came and as it was answered."""

    received_at: datetime
    path: str
    headers: Headers
    request_id: str | int | None = None
    status: int | None = None  # none: the connection was closed without a reply
    delivered: bool = False
    reply_sha256: str | None = None


class CallLog:
    """The calls of one service, numbered from 0 in the order in which they were finished."""

    def __init__(self, service_type: str, directory: Path | None) -> None:
        self._service_type = service_type
        self._lines: deque[bytes] = deque(maxlen=REMEMBERED_CALLS)
        self._count = 0
        self._file: int | None = None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / f"calls-{service_type.lower()}.jsonl"
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, call: CallRecord) -> None:
        """Take the call down, as finished now."""
        entry = {
            "received_at": call.received_at.isoformat(),
            "finished_at": datetime.now(UTC).isoformat(),
            "service": self._service_type,
            "path": call.path,
            "idempotency_key": call.headers.idempotency_key,
            "request_id": call.request_id,
            "attempt": _number(call.headers.attempt),
            "status": call.status,
            "delivered": call.delivered,
            "reply_sha256": call.reply_sha256,
        }
        line = json.dumps(entry, separators=(",", ":")).encode("ascii")
        self._lines.append(line)
        self._count += 1
        if self._file is not None:
            os.write(self._file, line + b"\n")

    def since(self, number: int) -> bytes:
        """The calls from that number on, as a JSON object; `next` is what to ask with next."""
        oldest = self._count - len(self._lines)
        lines = islice(self._lines, max(0, number - oldest), None)
        return b'{"next":%d,"calls":[%s]}' % (self._count, b",".join(lines))


def _number(attempt: str | None) -> int | str | None:
    """The attempt as a number, or what stood there instead of one."""
    short = attempt is not None and len(attempt) < 10 and attempt.isascii() and attempt.isdigit()
    return int(attempt) if attempt is not None and short else attempt
