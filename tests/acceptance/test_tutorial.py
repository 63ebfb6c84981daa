"""The page `docs/tutorial.md`: its commands do what it shows, in a fresh folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from agent.embedded.ports import free_port
from tests.acceptance.page import Example, Ids, Terminal, examples_of
from tests.conftest import ROOT
from tests.waiting import wait_until

START, *EXAMPLES = examples_of((ROOT / "docs/tutorial.md").read_text())
START_SECONDS = 90
OF_A_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
"""What `make test` tells a make that it runs; a reader's has none above it."""
COLUMNS = "100"
"""Of the reader's terminals."""


class Reader:
    """Somebody who has both terminals open, and does what the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids = Ids()
        self.log = folder / "first-terminal.log"
        environment = {name: value for name, value in os.environ.items() if name not in OF_A_MAKE}
        environment["COLUMNS"] = COLUMNS
        with self.log.open("wb") as output:
            self.first = subprocess.Popen(
                ["bash", "-c", START.command], cwd=folder,
                env={**environment, "PORT": str(free_port())},  # another test may want 8000
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.second = Terminal(folder, environment)

    def wait_until_it_is_up(self) -> None:
        """As the page says."""
        up = "everything is up"
        wait_until(lambda: up in self.said or self.first.poll() is not None, START_SECONDS)
        assert self.first.poll() is None, self.said
        wait_until(lambda: self.ids.shown_by(START.shown, self.said), 10)

    def follow(self, example: Example, *, code: int) -> None:
        """Type a command, which ends so, and compare what it prints with what the page shows."""
        ended, said = self.second.type(self.ids.put_into(example.command))
        assert ended == code, f"{example.command}\nended with {ended}: {said}"
        told = f"{example.command}\nprints\n{said}\nand not\n{example.shown}"
        assert self.ids.shown_by(example.shown, said), told

    @property
    def said(self) -> str:
        """What is to be read in the first terminal."""
        return self.log.read_text()

    def stop(self) -> None:
        """Press Ctrl-C in the first terminal, and close the second."""
        try:
            self.second.close()
        finally:
            if self.first.poll() is None:
                os.killpg(self.first.pid, signal.SIGINT)
            self.first.wait(timeout=60)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """In a folder that looks like the repository once `make setup` is done."""
    (tmp_path / ".venv").mkdir()
    for part in ("Makefile", "pyproject.toml", "constraints.txt", "scripts", "docs"):
        (tmp_path / part).symlink_to(ROOT / part)
    for part in ("bin", "lib", "pyvenv.cfg"):
        (tmp_path / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    (tmp_path / ".venv/.ready").touch()
    reader = Reader(tmp_path)
    try:
        yield reader
    finally:
        reader.stop()


def test_a_reader_ends_with_a_campaign_that_reached_everybody_once(reader: Reader) -> None:
    """Every command prints what the page shows and ends well, or as `echo $?` after it says; then
    each of the 50 users and the first one alone has one message, and the Ctrl-C ends all."""
    reader.wait_until_it_is_up()
    for example, after in pairwise([*EXAMPLES, Example("", "")]):
        reader.follow(example, code=int(after.shown) if after.command == "echo $?" else 0)

    outbox = (reader.folder / ".agent/sandbox/outbox/email.jsonl").read_text().splitlines()
    delivered = Counter(json.loads(line)["recipient"] for line in outbox)
    users = (ROOT / "docs/tutorial/users.csv").read_text().splitlines()[1:]
    assert len(users) == 50
    assert {line.split(",")[2] for line in users} <= set(delivered)
    assert set(delivered.values()) == {1}

    reader.stop()
    assert "stopped" in reader.said.splitlines()[-1]
