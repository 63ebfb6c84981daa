"""The folder that holds the servers' data, locked for one user at a time."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from agent.errors import EmbeddedServerFailed

LEAVING_SECONDS = 10.0
"""How long the servers of a killed owner may take to leave; their launchers give them five."""


class FolderLock:
    """Held by its owner and by the servers, which inherit it: free only when all are gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd: int | None = None

    def acquire(self) -> int:
        """Take the folder, and return the file descriptor that holds it.

        Raises:
            EmbeddedServerFailed: somebody else uses the folder.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LEAVING_SECONDS
        while not _locked(fd):
            owner = os.pread(fd, 20, 0).decode().strip()
            if _is_running(owner) or time.monotonic() > deadline:
                os.close(fd)
                raise EmbeddedServerFailed(
                    f"{self._folder} is in use by process {owner or '(unknown)'}: stop that one,"
                    " or choose another data folder"
                )
            time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd
        return fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_running(owner: str) -> bool:
    try:
        os.kill(int(owner), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
