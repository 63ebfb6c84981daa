"""What several processes write, as one stream for people: each line behind its process's name."""

from __future__ import annotations

import json
import os
import re
import textwrap
import threading
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from agent.words import visible

if TYPE_CHECKING:
    from rich.console import Console

LONGEST_LINE = 8192
COLOURS = ("cyan", "magenta", "blue", "green", "bright_cyan", "bright_magenta", "bright_blue")
LEVELS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
LEAST_WIDTH = 20

_FOR_PEOPLE = re.compile(
    r"\d{4}-\d\d-\d\dT(?P<time>\d\d:\d\d:\d\d)\S* \[(?P<level>\w+) *\] (?P<event>\S+) *(?P<rest>.*)"
)
_DATED = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)")


def readable(line: str) -> tuple[str, str]:
    """A line of a log, shortened, and its level in capitals (empty when it says none).

    Our own lines lose their date, their padding and the level `info`; any other line stays as it
    is, but for what a terminal would obey.
    """
    line = line.rstrip()
    if line.startswith("{"):
        return _from_json(line)
    found = _FOR_PEOPLE.match(line)
    if found is None:
        return visible(line), ""
    return _joined(found["time"], found["level"].upper(), found["event"], found["rest"])


def _from_json(line: str) -> tuple[str, str]:
    try:
        fields: Any = json.loads(line)
    except (ValueError, RecursionError):
        return visible(line), ""
    if not isinstance(fields, dict) or "event" not in fields:
        return visible(line), ""
    known = {name: str(fields.pop(name, "")) for name in ("timestamp", "level", "event")}
    time = _DATED.match(known["timestamp"])
    rest = " ".join(f"{name}={value}" for name, value in fields.items())
    return _joined(time[1] if time else "", known["level"].upper(), known["event"], rest)


def _joined(time: str, level: str, event: str, rest: str) -> tuple[str, str]:
    shown = "" if level in ("INFO", "DEBUG") else level
    return visible(" ".join(filter(None, (time, shown, event, rest.strip())))), level


class Lines:
    """Prints what processes write.

    Each gets a pipe of its own, read by a thread, so that a process that is started again writes on
    behind the same name.
    """

    def __init__(self, console: Console, names: Iterable[str]) -> None:
        self._console = console
        self._names = tuple(names)
        self._width = max(map(len, self._names), default=0)
        self._lock = threading.Lock()
        self._ends: list[int] = []
        self._threads: list[threading.Thread] = []

    def output_of(self, name: str) -> int:
        """The file descriptor for what this process writes; open until `close`."""
        reading, writing = os.pipe()
        self._ends.append(writing)
        thread = threading.Thread(
            target=self._read, args=(name, reading), name=f"lines-{name}", daemon=True
        )
        self._threads.append(thread)
        thread.start()
        return writing

    def tell(self, name: str, line: str, level: str = "") -> None:
        """Print one line behind a name."""
        from rich.text import Text

        colour = COLOURS[self._names.index(name) % len(COLOURS)] if name in self._names else ""
        prefix = f"{name:<{self._width}} │ "
        with self._lock:
            for part in self._parts(line, len(prefix)):
                text = Text(prefix, style=colour).append(part, style=LEVELS.get(level, "default"))
                self._console.print(text, soft_wrap=True)

    def close(self) -> None:
        """Print what is left of processes that have ended, and stop."""
        for end in self._ends:
            os.close(end)
        self._ends.clear()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _parts(self, line: str, indent: int) -> list[str]:
        """The line as the terminal's width has it, so that names stand in a column of their own."""
        if not self._console.is_terminal:
            return [line]
        width = max(self._console.width - indent, LEAST_WIDTH)
        return textwrap.wrap(line, width, break_on_hyphens=False) or [""]

    def _read(self, name: str, reading: int) -> None:
        with os.fdopen(reading, "rb") as pipe:
            for line in iter(lambda: _next_line(pipe), b""):
                self.tell(name, *readable(line.decode("utf-8", "replace")))


def _next_line(pipe: IO[bytes]) -> bytes:
    return pipe.readline(LONGEST_LINE)
