"""Programs on this machine: where they are, if they are."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from agent.errors import MissingServer


def program_at(path: Path) -> Path | None:
    return path if path.is_file() and os.access(path, os.X_OK) else None


def on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def beside_python(name: str) -> Path | None:
    """Where pip puts a console script: beside the interpreter, the venv being active or not."""
    return program_at(Path(sys.executable).parent / name)


def explicit(named: str | Path, variable: str | None = None) -> Path:
    """A program that somebody named, by its path or by its name on the PATH.

    Raises:
        MissingServer: there is no such program.
    """
    found = shutil.which(named)
    if found is None:
        source = f" ({variable})" if variable else ""
        raise MissingServer(f"{named}{source} is no program that can be run")
    return Path(found).absolute()
