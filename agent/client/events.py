"""Server-sent events: read from bytes as they come, and told once each. Pure."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

FINAL = frozenset({"completed", "failed", "cancelled"})
RECONNECT_SECONDS = 2.0
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A CR at the very end may be half of a CR LF."""


@dataclass(frozen=True, slots=True)
class Event:
    """What has become of a request (`request`), a batch, or one of its steps (`step`).

    Args:
        data: its whole present state: `id`, `key` of a step, `status`, `attempt`, `progress`,
            `error`, `updated_at`.
    """

    name: str
    data: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.data.get("status"))


@dataclass(slots=True)
class _Block:
    name: str = ""
    lines: list[str] = field(default_factory=list)


class EventStream:
    """The events of one request across all connections that it takes.

    Args:
        about: the id of what is listened for; its final state is the end.
    """

    def __init__(self, about: str) -> None:
        self._about = about
        self._told: dict[str, Event] = {}
        self._reconnect = RECONNECT_SECONDS
        self._last_id = ""
        self.is_over = False
        self.begin()

    def begin(self) -> None:
        """Another connection: what the last one left unfinished is gone."""
        self._rest = b""
        self._block = _Block()

    @property
    def headers(self) -> dict[str, str]:
        """What to ask with."""
        asked = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        return {**asked, "Last-Event-ID": self._last_id} if self._last_id else asked

    @property
    def pause(self) -> float:
        """How long to wait before the next connection."""
        return self._reconnect * random.uniform(0.5, 1)

    def take(self, data: bytes) -> Iterator[Event]:
        """The events that are whole with these bytes; what was told before is not told again."""
        *lines, self._rest = _LINE_END.split(self._rest + data)
        for line in lines:
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None and self._told.get(_key(event)) != event:
                self._told[_key(event)] = event
                yield event
                if event.data.get("id") == self._about and event.status in FINAL:
                    self.is_over = True
                    return

    def _line(self, line: str) -> Event | None:
        if not line:
            block, self._block = self._block, _Block()
            return _event_of(block)
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._block.name = value
        elif name == "data":
            self._block.lines.append(value)
        elif name == "id" and "\0" not in value:
            self._last_id = value
        elif name == "retry" and value.isdecimal():
            self._reconnect = int(value[:9]) / 1000
        return None


def _key(event: Event) -> str:
    return str(event.data.get("id"))


def _event_of(block: _Block) -> Event | None:
    """The event of a block; None of a comment, and of what is no JSON object."""
    try:
        data = json.loads("\n".join(block.lines))
    except ValueError:
        return None
    return Event(block.name or "message", data) if isinstance(data, dict) else None
