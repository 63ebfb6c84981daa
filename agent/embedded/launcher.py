"""Holds one command as its child and ends it, with all it started, when its own parent is gone.

Run as a script by `agent.embedded.supervisor`, as the leader of a session of its own, with the
number of a socket and the command. It imports nothing of ours, so that it starts in 20 ms. On the
socket it writes `started PID` and `exited CODE`; it reads `stop SECONDS`, and understands the end
of the stream, which comes with any death of the parent, `kill -9` included, in the same way.

Why a process and not only PR_SET_PDEATHSIG: that fires when the *thread* that forked exits, does
not reach grandchildren, and is Linux's alone. It is the second line here, should the launcher
itself be killed: its only thread forks, so there it means what it says.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import time
from typing import NoReturn

ORPHAN_GRACE_SECONDS = 5.0
"""SecantusDB takes 2.1 s from SIGTERM to its end; nobody is left to wait for anything longer."""
PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 127


def main(channel_fd: int, command: list[str]) -> None:
    channel = socket.socket(fileno=channel_fd)
    channel.set_inheritable(False)
    child_news, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _do_nothing)  # a function, not SIG_IGN: exec resets it
    libc = ctypes.CDLL(None)
    launcher = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, launcher, libc)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _do_nothing)  # platforms signal every process; the child decides
    _tell(channel, f"started {child}")
    exit_code = _hold(child, channel, child_news)
    _tell(channel, f"exited {exit_code}")
    if os.getpgrp() == launcher:
        os.kill(0, signal.SIGKILL)  # whatever of the command is left in the group, and this process


def _become(command: list[str], launcher: int, libc: ctypes.CDLL) -> NoReturn:
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:
        os._exit(CANNOT_EXECUTE)
    for number in (signal.SIGINT, signal.SIGPIPE):  # Python has changed these two
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as exc:
        os.write(2, f"cannot start {command[0]}: {exc.strerror}\n".encode())
    os._exit(CANNOT_EXECUTE)


def _hold(child: int, channel: socket.socket, child_news: socket.socket) -> int:
    """Wait until the child has ended, by itself or because it was told to."""
    kill_at: float | None = None
    watched = [channel, child_news]
    while True:
        left = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        ready, _, _ = select.select(watched, [], [], left)
        if child_news in ready:
            child_news.recv(4096)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if channel in ready:
            order = _order(channel)
            if not order:
                watched.remove(channel)
            kill_at = time.monotonic() + _grace(order)
            os.kill(child, signal.SIGTERM)
        elif left == 0.0:
            os.kill(child, signal.SIGKILL)
            kill_at = None


def _order(channel: socket.socket) -> bytes:
    try:
        return channel.recv(4096)
    except ConnectionResetError:  # the parent died without reading what it was told last
        return b""


def _grace(order: bytes) -> float:
    return float(order.split()[-1]) if order else ORPHAN_GRACE_SECONDS


def _tell(channel: socket.socket, line: str) -> None:
    try:
        channel.sendall(f"{line}\n".encode())
    except OSError:
        return  # the parent is gone; the end of the stream will say so


def _do_nothing(_signal: int, _frame: object) -> None:
    """Take a signal, so that it wakes `select` or does no harm."""


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
