"""Starts commands as processes, starts again what died, and stops only what it started.

Each command runs in a session of its own, under a launcher that ends it when this process is gone
(see `agent.embedded.launcher`). A process that forks without exec while something is supervised
shares the launchers' sockets with its child: then the end comes with the last of the two.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from agent.embedded import launcher

FIRST_WAIT = timedelta(milliseconds=100)
LONGEST_WAIT = timedelta(seconds=5)
STEADY = timedelta(seconds=10)
"""A process that lived this long died of something new: the waits begin anew."""
DEFAULT_GRACE = timedelta(seconds=10)
LAUNCHER_MARGIN = timedelta(seconds=5)
"""How much longer than the grace a launcher may take before it is killed itself."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What to run.

    Args:
        name: for people, in messages.
        command: program and arguments; no shell.
        env: variables added to, or changed in, this process's own environment.
        cwd: the working directory; None is this process's own.
        log_path: both outputs are appended to this file; None lets it write to ours.
        output: a file descriptor that gets both outputs, where there is no `log_path`; whoever
            gives it keeps it open, for the process may be started again.
        restart: whether it is started again when it ends without having been stopped.
        keep_open: file descriptors that it inherits.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    log_path: Path | None = None
    output: int | None = None
    restart: bool = True
    keep_open: tuple[int, ...] = ()


class Handle:
    """One supervised process: what it is now, and how often it was started again."""

    def __init__(self, process: Process, on_restart: Callable[[Handle], None] | None) -> None:
        self.process = process
        self.restarts = 0
        self.exit_code: int | None = None
        """How it ended the last time; negative for a signal; None when it never has."""
        self._on_restart = on_restart
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._run: _Run | None = _Run(process)
        self._thread = threading.Thread(
            target=self._watch, name=f"supervise-{process.name}", daemon=True
        )
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process's own id; None while it is not running."""
        run = self._run
        return run.pid if run and run.alive else None

    @property
    def alive(self) -> bool:
        return self.pid is not None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended for good; False if `timeout` seconds were not enough."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _ask_to_stop(self, grace: timedelta) -> None:
        with self._lock:
            self._stopping.set()
            run = self._run
        if run:
            run.stop(grace)

    def _end(self, timeout: float) -> None:
        run = self._run
        if not self.wait(timeout) and run:
            run.kill()
            self.wait()

    def _watch(self) -> None:
        wait = FIRST_WAIT
        while True:
            began = time.monotonic()
            if run := self._run:
                self.exit_code = run.wait()
                self._run = None
            if not self.process.restart or self._stopping.is_set():
                return
            lived = timedelta(seconds=time.monotonic() - began)
            wait = FIRST_WAIT if lived > STEADY else wait
            self._stopping.wait(wait.total_seconds())
            wait = min(wait * 2, LONGEST_WAIT)
            self._start_again()

    def _start_again(self) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            try:
                self._run = _Run(self.process)
            except OSError:
                _log.exception("%s could not be started again", self.process.name)
                return
        self.restarts += 1
        if self._on_restart:
            try:
                self._on_restart(self)
            except Exception:
                _log.exception("on_restart failed; %s is supervised on", self.process.name)


class Supervisor:
    """Keeps processes running until it is told to stop them.

    Args:
        on_restart: called, in a thread of its own per process, after one was started again.
    """

    def __init__(self, on_restart: Callable[[Handle], None] | None = None) -> None:
        self._on_restart = on_restart
        self._handles: list[Handle] = []

    def start(self, process: Process) -> Handle:
        """Start it, and start it again whenever it dies.

        Raises:
            OSError: no process can be made, or the log or the directory is not there. A command
                that does not exist is no error here: it ends with 127 and says so in its output.
        """
        handle = Handle(process, self._on_restart)
        self._handles.append(handle)
        return handle

    def stop(self, *handles: Handle, grace: timedelta = DEFAULT_GRACE) -> None:
        """Stop these, all at once: SIGTERM, and SIGKILL for what is left after the grace."""
        for handle in handles:
            handle._ask_to_stop(grace)
        deadline = time.monotonic() + (grace + LAUNCHER_MARGIN).total_seconds()
        for handle in handles:
            handle._end(max(0.0, deadline - time.monotonic()))
        self._handles = [handle for handle in self._handles if handle not in handles]

    def stop_all(self, grace: timedelta = DEFAULT_GRACE) -> None:
        """Stop everything, one after the other, the newest first."""
        for handle in reversed(self._handles):
            self.stop(handle, grace=grace)


class _Run:
    """One life of a process, under its launcher."""

    def __init__(self, process: Process) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as on_error:
            on_error.enter_context(self._channel)
            self._launcher = _launch(process, theirs)
            on_error.pop_all()
        self._news = self._channel.makefile("rb")
        self.pid = int(self._next_word("started") or 0)
        self.alive = self.pid > 0

    def wait(self) -> int:
        """Wait until it and all it started are gone; how it ended."""
        with self._channel, self._news:
            exited = self._next_word("exited")
            self._next_word("the end")  # comes when the launcher is gone
        self._launcher.wait()
        self.alive = False
        return -signal.SIGKILL if exited is None else int(exited)

    def stop(self, grace: timedelta) -> None:
        with contextlib.suppress(OSError):  # it has ended already
            self._channel.sendall(f"stop {grace.total_seconds()}\n".encode())

    def kill(self) -> None:
        """End the launcher, and so all that it holds."""
        if self._launcher.poll() is None:
            os.killpg(self._launcher.pid, signal.SIGKILL)

    def _next_word(self, kind: str) -> str | None:
        try:
            words = self._news.readline().decode().split()
        except ConnectionResetError:  # it ended without reading what it was told last
            return None
        return words[1] if words[:1] == [kind] else None


def _launch(process: Process, channel: socket.socket) -> subprocess.Popen[bytes]:
    python = (sys.executable, "-I", "-S", launcher.__file__)
    with contextlib.ExitStack() as files:
        log = files.enter_context(process.log_path.open("ab")) if process.log_path else None
        output = process.output if log is None else log
        return subprocess.Popen(
            (*python, str(channel.fileno()), *process.command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=process.cwd,
            env={**os.environ, **process.env},
            pass_fds=(channel.fileno(), *process.keep_open),
            start_new_session=True,
        )
