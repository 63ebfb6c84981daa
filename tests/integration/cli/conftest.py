"""The commands in this process, on the servers and the place of one test."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.cli.app import run


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for programs."""
        return json.loads(self.out)


class Commands:
    """Runs commands as the program does, but for a process of their own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Said:
        self._capsys.readouterr()
        code = run(arguments)
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)

    def submit(self, *arguments: str) -> str:
        """Submit a request for a text, and give its id."""
        said = self("submit", "--service", "GENERATIVE", "--body", '{"prompt": "Hi"}', *arguments)
        assert (said.code, said.err) == (0, "")
        return said.out.strip()


@pytest.fixture
def agent(
    process_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Commands:
    """The commands; what they would change of the process stays as it is."""
    for name, value in process_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr("agent.logs.configure_logging", lambda _: None)
    return Commands(capsys)
