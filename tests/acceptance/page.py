"""The examples of a page of the docs, typed in their order as by its reader.

A block ```` ```console ```` holds commands behind `$ `, which a backslash at the end of a line
continues, and what they print. Ids and times are other ones each time: the first time that the page
shows an id, it stands for the one that is printed there, and from then on for that one. `…` stands
for anything, and in a line of its own for any lines.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

LONGEST_SECONDS = 60.0
ENDED = re.compile(r"-- ended with (\d+)\n")
BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
ID = re.compile(r"ctx_[0-9A-Z]{26}")
SAME_EACH_TIME = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min|h)\b"), "DURATION"),
    (re.compile(r"\b[\d.]+ a second"), "RATE"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "PORT"),
    (re.compile("─+"), "─"),
    (re.compile(" +"), " "),
)
"""What differs from one time to the next, and what stands in its place; of tables the widths."""


class Example(NamedTuple):
    """A command, and what the page shows of what it prints; "" where it shows nothing."""

    command: str
    shown: str


def examples_of(page: str) -> list[Example]:
    """All commands of a page, in their order."""
    commands = (re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] for block in BLOCK.findall(page))
    return [_example(text) for block in commands for text in block]


def _example(text: str) -> Example:
    lines = text.splitlines()
    last = next(at for at, line in enumerate(lines) if not line.endswith("\\"))
    return Example("\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :]))


class Ids:
    """Which ids have come in the place of those of the page."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def put_into(self, command: str) -> str:
        """The command with the ids that were printed."""
        return ID.sub(lambda found: self._real[found[0]], command)

    def shown_by(self, shown: str, said: str) -> bool:
        """Whether this is what the page shows, or the page shows nothing; new ids of the page are
        known from then on."""
        if not shown:
            return True
        found = re.compile(self._pattern(_same(shown))).fullmatch(_same(said))
        if found is not None:
            self._real |= found.groupdict()
        return found is not None

    def _pattern(self, shown: str) -> str:
        return "".join(map(self._of_line, shown.splitlines()))

    def _of_line(self, line: str) -> str:
        if line == "…":
            return r"(?:.*\n)*?"
        new: set[str] = set()

        def known(found: re.Match[str]) -> str:
            page_id = found[0]
            if page_id in self._real:
                return self._real[page_id]
            if page_id in new:
                return f"(?P={page_id})"
            new.add(page_id)
            return f"(?P<{page_id}>{ID.pattern})"

        return ID.sub(known, re.escape(line).replace("…", ".*")) + r"\n"


def _same(text: str) -> str:
    """The lines that hold anything, without what differs from one time to the next."""
    for pattern, word in SAME_EACH_TIME:
        text = pattern.sub(word, text)
    return "".join(f"{line.strip()}\n" for line in text.splitlines() if line.strip())


class Terminal:
    """A shell that somebody types into, one command after the other."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def type(self, command: str) -> tuple[int, str]:
        """Run a command to its end: its exit code, and what it printed."""
        assert self._shell.stdin
        typed = f"{{ {command}\n}} </dev/null; code=$?\nprintf -- '-- ended with %s\\n' $code\n"
        self._shell.stdin.write(f"{typed}(exit $code)\n".encode())
        self._shell.stdin.flush()
        said = self._read(command)
        end = ENDED.search(said)
        assert end
        return int(end[1]), said[: end.start()]

    def close(self) -> None:
        """End the shell, as Ctrl-D does, or whatever runs in it."""
        try:
            self._shell.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            self._shell.kill()
            raise

    def _read(self, command: str) -> str:
        assert self._shell.stdout
        said, deadline = b"", time.monotonic() + LONGEST_SECONDS
        while not ENDED.search(text := said.decode(errors="replace")):
            left = max(deadline - time.monotonic(), 0)
            is_there = select.select([self._shell.stdout], [], [], left)[0]
            block = os.read(self._shell.stdout.fileno(), 1 << 16) if is_there else b""
            assert block, f"{command!r} does not end; so far it has said: {text}"
            said += block
        return text
