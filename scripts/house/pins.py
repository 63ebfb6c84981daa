"""`constraints.txt`: one exact version for everything that `pyproject.toml` asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

FILE = "constraints.txt"

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==[A-Za-z0-9.!+_-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_pins(pyproject: Mapping[str, Any], constraints: str) -> list[str]:
    """Lines of another form, names without a version, and names that stand there twice."""
    problems, pinned = [], set[str]()
    for number, line in enumerate(constraints.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _PIN.fullmatch(line)
        if match is None:
            problems.append(f"{FILE}, line {number}: expected name==version")
        elif _plain(match[1]) in pinned:
            problems.append(f"{FILE}, line {number}: {match[1]} stands there twice")
        else:
            pinned.add(_plain(match[1]))
    missing = sorted({name for name in wanted(pyproject) if name not in pinned})
    return problems + [f"{FILE}: {name} of pyproject.toml has no version" for name in missing]


def wanted(pyproject: Mapping[str, Any]) -> Iterator[str]:
    """The names of all dependencies, of the extras and the groups too."""
    project = pyproject["project"]
    lists = [
        project["dependencies"],
        *project.get("optional-dependencies", {}).values(),
        *pyproject.get("dependency-groups", {}).values(),
    ]
    for requirement in (each for one in lists for each in one):
        match = _NAME.match(requirement)
        if match is not None:
            yield _plain(match[0])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
