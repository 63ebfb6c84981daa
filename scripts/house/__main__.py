"""`python -m scripts.house`: prints one line a problem, and exits 1 when there is any."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from scripts.house.compose import check_compose
from scripts.house.dockerfile import check_dockerfile, check_ignored
from scripts.house.pins import check_pins
from scripts.house.procfile import check_process_types, read_procfile
from scripts.house.variables import check_variables

ROOT = Path(__file__).parents[2]


def problems(root: Path = ROOT) -> list[str]:
    """Every problem of the files under `root`, the name of its file first."""
    compose: dict[str, Any] = yaml.safe_load(_text(root, "compose/compose.yaml"))
    app = json.loads(_text(root, "app.json"))
    procfile = read_procfile(_text(root, "Procfile"))
    pyproject = tomllib.loads(_text(root, "pyproject.toml"))
    schema = json.loads(_text(root, "scripts/vendor/compose-spec.json"))
    return [
        *check_compose(compose, schema),
        *check_variables(compose, app),
        *check_process_types(procfile, compose, app),
        *check_dockerfile(_text(root, "compose/Dockerfile")),
        *check_ignored(_text(root, ".dockerignore")),
        *check_pins(pyproject, _text(root, "constraints.txt")),
    ]


def _text(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def main() -> int:
    """Print what is wrong."""
    found = problems()
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
