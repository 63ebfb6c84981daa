"""The program `agent` as people and scripts start it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

AGENT = Path(sys.executable).with_name("agent")
LONGEST_SECONDS = 60


class Finished:
    """How a command ended, and what it said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def json(self) -> Any:
        """What it printed for programs."""
        return json.loads(self.out)


class Agent:
    """Runs commands in one environment."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = dict(environment)
        self._folder = folder

    def __call__(self, *arguments: str, stdin: str = "", **variables: str) -> Finished:
        """Run one command to its end; variables come on top of the environment."""
        return Finished(
            subprocess.run(
                [str(AGENT), *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=LONGEST_SECONDS,
                env={**self.environment, **variables},
                cwd=self._folder,
                check=False,
            )
        )

    def submit(self, *arguments: str) -> str:
        """Submit a request for a text, and give its id."""
        done = self("submit", "--service", "GENERATIVE", "--body", '{"prompt": "Hi"}', *arguments)
        assert (done.code, done.err) == (0, "")
        return done.out.strip()
