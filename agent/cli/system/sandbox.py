"""The sandbox's three services as one process of the system."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

from agent.embedded import Handle, Process
from agent.embedded.ports import free_port
from agent.errors import EmbeddedServerFailed

START_TIMEOUT = timedelta(seconds=30)
LOOK_SECONDS = 0.02


class Sandbox:
    """Where the sandbox keeps its outbox and its record of calls, and how it is started.

    Its ports are chosen here, so that it has the same ones when it is started again.

    Args:
        key: the bearer key that its callers need; None for none.
    """

    def __init__(self, folder: Path, *, key: str | None = None) -> None:
        self.folder = folder
        self._key = key
        self._ready_file = folder / "ready.json"
        self._ports = [free_port() for _ in range(3)]

    def process(self) -> Process:
        """What to start. Its folder is made, and what an earlier run wrote there about its
        addresses is gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)
        generation, analysis, communication = map(str, self._ports)
        return Process(
            name="sandbox",
            command=(
                *(sys.executable, "-m", "agent.sandbox", "--data", str(self.folder)),
                *("--ready-file", str(self._ready_file), "--generation-port", generation),
                *("--analysis-port", analysis, "--communication-port", communication),
            ),
            env={"AGENT_SANDBOX_KEY": self._key or ""},
            log_path=self.folder / "sandbox.log",
        )

    def wait(self, handle: Handle) -> dict[str, str]:
        """The base URLs by their variables, once all three answer.

        Raises:
            EmbeddedServerFailed: it did not start.
        """
        deadline = time.monotonic() + START_TIMEOUT.total_seconds()
        while not self._ready_file.exists():
            if handle.exit_code is not None:
                raise EmbeddedServerFailed(
                    f"the sandbox ended with {handle.exit_code}; see {handle.process.log_path}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed("the sandbox did not answer in time")
            time.sleep(LOOK_SECONDS)
        urls: dict[str, str] = json.loads(self._ready_file.read_text(encoding="utf-8"))
        return urls
