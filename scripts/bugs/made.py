"""The bugs of `made.toml`, and making one of them in a copy of the project."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".venv", ".git", ".agent", "__pycache__", ".*_cache", ".hypothesis"
)


class BugCannotBeMade(Exception):
    """The code has changed since: the text that a bug replaces is not there, or not just once."""


@dataclass(frozen=True, slots=True)
class Bug:
    """One text in the place of another.

    Args:
        says: what is wrong with it, in words.
        file: which is changed, from the project's root.
        tests: files and folders of the tests that are to notice.
    """

    name: str
    says: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def changed(self, root: Path = ROOT) -> str:
        """The text of its file with the bug.

        Raises:
            BugCannotBeMade: naming the bug and the file.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if text.count(self.old) != 1:
            raise BugCannotBeMade(
                f"{self.name}: what it replaces is {text.count(self.old)} times in {self.file}"
            )
        missing = [each for each in self.tests if not (root / each).exists()]
        if missing:
            raise BugCannotBeMade(f"{self.name}: there is no {', '.join(missing)}")
        return text.replace(self.old, self.new)

    def make(self, folder: Path) -> Path:
        """A copy of the project that has the bug, in a folder that is not there yet.

        Raises:
            BugCannotBeMade: as for `changed`.
        """
        text = self.changed()
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
        (folder / self.file).write_text(text, encoding="utf-8")
        return folder


def read_bugs() -> list[Bug]:
    """All of them, in their order."""
    found: list[dict[str, Any]] = tomllib.loads(
        (Path(__file__).parent / "made.toml").read_text(encoding="utf-8")
    )["bug"]
    return [Bug(**{**each, "tests": tuple(each["tests"])}) for each in found]
