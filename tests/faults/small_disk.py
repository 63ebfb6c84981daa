"""A file system so small that a test can fill it. Only root may mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTE = 2**20
COMMAND_SECONDS = 10


class SmallDisk:
    """One that is mounted at a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_bsize

    def fill(self, *, but_bytes: int) -> None:
        """Leave no more than that free."""
        with self._filler.open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, self.free_bytes - but_bytes)
        assert self.free_bytes <= but_bytes

    def clear(self) -> None:
        """Make space again."""
        self._filler.unlink()


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount one at a folder, and unmount it whatever happens.

    A user who is not root cannot have one, and skips; for root a refusal is a failure.
    """
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small file system that this test fills")
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size_bytes},mode=700"
    _run("mount", "-t", "tmpfs", "-o", options, "agent-test", str(folder))
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
