"""The processes of a line: started under supervision, and killed, stopped and signalled by a test.

Each is a group of its own with all that it started. What is done to it is confirmed from outside.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.embedded import Handle, Process, Supervisor
from tests.waiting import wait_until

PROC = Path("/proc")
START_SECONDS = 45.0
"""For a process to be there: two seconds alone, many more beside others on a busy machine."""
GRACE = timedelta(seconds=0.5)
"""At the end of a test nobody waits for running calls."""


class Running:
    """One process, with its children and its log."""

    def __init__(self, handle: Handle, log_path: Path) -> None:
        self.handle = handle
        self.log_path = log_path

    @property
    def name(self) -> str:
        return self.handle.process.name

    @property
    def group(self) -> int:
        """Its process group; the supervisor's launcher is part of it, and heeds no SIGTERM."""
        pid = self.handle.pid
        assert pid is not None, f"{self.name} is not running; see {self.log_path}"
        return os.getpgid(pid)

    def owns(self, pid: int) -> bool:
        """Whether a process is one of this group's."""
        try:
            return self.handle.alive and os.getpgid(pid) == self.group
        except ProcessLookupError:
            return False

    def terminate(self) -> None:
        """SIGTERM to every process of the group, as platforms send it."""
        os.killpg(self.group, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group, as a machine dies."""
        pid = self.handle.pid
        os.killpg(self.group, signal.SIGKILL)
        wait_until(lambda: self.handle.pid != pid)

    def freeze(self) -> None:
        """Stop the whole group where it stands."""
        os.killpg(self.group, signal.SIGSTOP)
        wait_until(lambda: self._states() <= {"T"})

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self.group, signal.SIGCONT)
        wait_until(lambda: "T" not in self._states())

    def wait_for_start(self, is_there: Callable[[], object]) -> None:
        """Wait until it shows itself in this way.

        Raises:
            AssertionError: it ended instead, or took too long; with the end of its log.
        """
        restarts = self.handle.process.restart
        wait_until(
            lambda: is_there() or not (self.handle.alive or restarts), START_SECONDS, interval=0.05
        )
        assert is_there(), f"{self.name} did not start:\n{self.log_path.read_text()[-2000:]}"

    def wait(self, timeout: float) -> int | None:
        """Its exit code, once it has ended.

        Raises:
            AssertionError: it has not.
        """
        assert self.handle.wait(timeout), f"{self.name} did not end within {timeout:g} s"
        return self.handle.exit_code

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of this event in its log."""
        return [line for line in self.lines() if line.get("event") == event]

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines of its log that are JSON; what else prints there is for people."""
        with self.log_path.open(encoding="utf-8", errors="replace") as log:
            for text in log:
                try:
                    line = json.loads(text)
                except ValueError:
                    continue
                if isinstance(line, dict):
                    yield line

    def members(self) -> list[int]:
        """The processes of its group."""
        return [pid for pid, _state in self._stats()]

    def _states(self) -> set[str]:
        return {state for _pid, state in self._stats()}

    def _stats(self) -> Iterator[tuple[int, str]]:
        """The id and the state of each process of the group, from where Linux tells them."""
        group = str(self.group)
        for entry in PROC.glob("[0-9]*/stat"):
            try:
                state, _parent, its_group = entry.read_text().rpartition(")")[2].split()[:3]
            except OSError:  # it has just ended
                continue
            if its_group == group and state != "Z":
                yield int(entry.parent.name), state


class Processes:
    """Starts processes with one environment, each with a log file of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self.environment = dict(environment)
        self._supervisor = Supervisor()
        self.running: list[Running] = []

    def start(
        self,
        name: str,
        *command: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        restart: bool = False,
    ) -> Running:
        """Start a command.

        Args:
            name: of the log, with a number.
            environment: variables that beat those of all processes.
            restart: whether it is started again when it dies, as a platform would.
        """
        log_path = self._folder / f"{name}-{len(self.running)}.log"
        handle = self._supervisor.start(
            Process(
                name=name,
                command=command,
                env={**self.environment, **(environment or {})},
                cwd=cwd or self._folder,
                log_path=log_path,
                restart=restart,
            )
        )
        self.running.append(Running(handle, log_path))
        return self.running[-1]

    def stop(self) -> None:
        """End all of them; none is asked to finish anything."""
        for each in self.running:
            if each.handle.alive:
                os.killpg(each.group, signal.SIGCONT)
        self._supervisor.stop(*(each.handle for each in self.running), grace=GRACE)
