"""One embedded server: started on a free port of its own, waited for, stopped, started again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from agent.embedded.ports import free_port, is_free
from agent.embedded.supervisor import Handle, Process, Supervisor
from agent.errors import EmbeddedServerFailed

START_TIMEOUT = timedelta(seconds=30)
STOP_GRACE = timedelta(seconds=10)
LOOK_SECONDS = 0.02
PORTS_TO_TRY = 5
LOG_LINES = 15


class Program(Protocol):
    """What has to be known of a server's program."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    def command(self, port: int, data: Path) -> tuple[str, ...]: ...
    def url(self, port: int) -> str: ...
    def answering_pid(self, port: int) -> int | None: ...


class Server:
    """A server with its data, its log and, from its first start on, its port.

    Args:
        program: what it is.
        folder: holds `{name}/` with the data and `{name}.log`.
        supervisor: starts it.
        restart: whether it is started again when it dies.
        keep_open: file descriptors that it inherits.
    """

    def __init__(
        self,
        program: Program,
        folder: Path,
        supervisor: Supervisor,
        *,
        restart: bool = True,
        keep_open: tuple[int, ...] = (),
    ) -> None:
        self._program = program
        self._data = folder / program.name
        self._supervisor = supervisor
        self._restart = restart
        self._keep_open = keep_open
        self._port: int | None = None
        self._handle: Handle | None = None
        self.log_path = folder / f"{program.name}.log"

    @property
    def url(self) -> str:
        """Where it is, for clients."""
        return self._program.url(self.port)

    @property
    def port(self) -> int:
        if self._port is None:
            raise EmbeddedServerFailed(f"{self._program.title} has not been started")
        return self._port

    @property
    def pid(self) -> int | None:
        return self._handle.pid if self._handle else None

    @property
    def alive(self) -> bool:
        return self.pid is not None

    @property
    def restarts(self) -> int:
        """How often it was started again by supervision since its last `start`."""
        return self._handle.restarts if self._handle else 0

    def start(self, timeout: timedelta = START_TIMEOUT) -> None:
        """Start it and wait until it answers; on the port it had before, if it had one.

        Raises:
            EmbeddedServerFailed: it ended, or did not answer in time; with the end of its log.
        """
        if self._port is not None:
            self._start_on(self._port, timeout)
            return
        for _ in range(PORTS_TO_TRY - 1):
            port = free_port()
            try:
                self._start_on(port, timeout)
            except EmbeddedServerFailed:
                if is_free(port):
                    raise
            else:
                return
        self._start_on(free_port(), timeout)

    def stop(self, grace: timedelta = STOP_GRACE) -> None:
        """Stop it; its data stay."""
        if self._handle:
            self._supervisor.stop(self._handle, grace=grace)
            self._handle = None

    def kill(self) -> None:
        """Kill it as a crash would. Supervision, if it is on, starts it again."""
        if pid := self.pid:
            os.kill(pid, signal.SIGKILL)

    def restart(self, *, keep_data: bool = True) -> None:
        """Stop it and start it again on its port, with or without its data."""
        self.stop()
        if not keep_data:
            shutil.rmtree(self._data)
        self.start()

    def wait_until_it_answers(self, timeout: timedelta = START_TIMEOUT) -> None:
        """Wait until the process that runs now answers.

        Raises:
            EmbeddedServerFailed: it did not, in this time.
        """
        self._wait(timeout, give_up_when_it_ends=False)

    def _start_on(self, port: int, timeout: timedelta) -> None:
        self.stop()
        self._data.mkdir(parents=True, exist_ok=True)
        self.log_path.write_bytes(b"")  # the log of one start: an error shows its end
        self._handle = self._supervisor.start(
            Process(
                name=self._program.name,
                command=self._program.command(port, self._data),
                cwd=self._data,
                log_path=self.log_path,
                restart=self._restart,
                keep_open=self._keep_open,
            )
        )
        before, self._port = self._port, port
        try:
            self._wait(timeout, give_up_when_it_ends=True)
        except BaseException:
            self._port = before
            self.stop()
            raise

    def _wait(self, timeout: timedelta, *, give_up_when_it_ends: bool) -> None:
        deadline = time.monotonic() + timeout.total_seconds()
        while True:
            handle = self._handle
            pid = self._program.answering_pid(self.port)
            if handle and pid is not None and pid == handle.pid:
                return
            if handle and give_up_when_it_ends and handle.exit_code is not None:
                raise self._failed(f"ended with {handle.exit_code}")
            if time.monotonic() > deadline:
                raise self._failed(f"did not answer within {timeout.total_seconds():g} s")
            time.sleep(LOOK_SECONDS)

    def _failed(self, what: str) -> EmbeddedServerFailed:
        with self.log_path.open(encoding="utf-8", errors="replace") as log:
            last = "".join(deque(log, maxlen=LOG_LINES)).rstrip() or "(nothing)"
        return EmbeddedServerFailed(
            f"{self._program.title} {what}; the last lines of {self.log_path}:\n{last}"
        )
