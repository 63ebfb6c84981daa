"""The output of several processes as one stream."""

from __future__ import annotations

import io
import os

import pytest
from rich.console import Console

from agent.cli.system.lines import Lines, readable
from tests.waiting import wait_until

FOR_PEOPLE = "2026-11-24T14:15:44.628213Z [info     ] bridge.started                 owner=b:1"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (FOR_PEOPLE, ("14:15:44 bridge.started owner=b:1", "INFO")),
        (FOR_PEOPLE.replace("info   ", "warning"), ("14:15:44 WARNING bridge.started owner=b:1",
                                                   "WARNING")),
        ('{"event":"lead.begun","level":"info","timestamp":"2026-11-24T14:15:44.6Z","how":"began"}',
         ("14:15:44 lead.begun how=began", "INFO")),
        ('{"event":"x","level":"error","error":"a\\u001bb"}', ("ERROR x error=a\\x1bb", "ERROR")),
        ('{"no": "event"}', ('{"no": "event"}', "")),
        ("{broken", ("{broken", "")),
        ("  plain\x1b[31m text \n", ("  plain\\x1b[31m text", "")),
    ],
)  # fmt: skip
def test_a_line_of_a_log_is_shortened_and_harmless(line: str, expected: tuple[str, str]) -> None:
    """Ours lose date and padding; nothing that a terminal would obey gets through."""
    assert readable(line) == expected


def test_each_line_stands_behind_its_name() -> None:
    """Two processes write at once; no line is torn, the last one without an end included."""
    stream = io.StringIO()
    lines = Lines(Console(file=stream, width=200), ["web", "bridge"])
    for name in ("web", "bridge"):
        os.write(lines.output_of(name), b"one\ntwo\nlast")
    lines.close()
    expected = [f"{name:<6} │ {word}" for name in ("web", "bridge") for word in
                ("one", "two", "last")]  # fmt: skip
    assert sorted(stream.getvalue().splitlines()) == sorted(expected)


def test_a_long_line_is_wrapped_beside_its_name() -> None:
    """On a terminal the names stand in a column of their own."""
    stream = io.StringIO()
    console = Console(file=stream, width=30, force_terminal=True, no_color=True)
    lines = Lines(console, ["web"])
    lines.tell("web", "a line that is longer than the terminal is wide")
    shown = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert shown == ["web │ a line that is longer", "web │ than the terminal is", "web │ wide"]


def test_a_process_that_is_started_again_writes_on() -> None:
    """The pipe outlives the process at its other end."""
    stream = io.StringIO()
    lines = Lines(Console(file=stream, width=80), ["web"])
    end = lines.output_of("web")
    for life in (b"first\n", b"second\n"):
        copy = os.dup(end)
        os.write(copy, life)
        os.close(copy)
    wait_until(lambda: stream.getvalue() == "web │ first\nweb │ second\n")
    lines.close()
