"""The process types: the same commands in `Procfile`, `compose.yaml` and `app.json`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agent.services import BUILT_IN, WEBHOOK

RELEASE = "release"
"""Runs once before the others; a platform knows it by its name and has no number for it."""

_LINE = re.compile(r"([a-z][a-z0-9_-]*): +(\S.*)")


def read_procfile(text: str) -> dict[str, str]:
    """The command of each process type.

    Raises:
        ValueError: a line is none of a Procfile, or names a type again.
    """
    types: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None or match[1] in types:
            raise ValueError(f"Procfile, line {number}: expected `name: command`, each name once")
        types[match[1]] = match[2]
    return types


def check_process_types(
    procfile: Mapping[str, str], compose: Mapping[str, Any], app: Mapping[str, Any]
) -> list[str]:
    """Each process type has its service and its place in the formation, and each queue its type."""
    services, formation = compose.get("services", {}), app.get("formation", {})
    problems = []
    for name, command in procfile.items():
        found = services.get(name, {}).get("command")
        if found is None:
            problems.append(f"compose/compose.yaml: no service {name!r} with a command")
        elif found != command:
            problems.append(
                f"compose/compose.yaml: {name} runs {found!r}, the Procfile {command!r}"
            )
        if name != RELEASE and name not in formation:
            problems.append(f"app.json: formation lacks {name!r}")
    problems += [
        f"app.json: formation has {name!r}, the Procfile has not"
        for name in formation
        if name not in procfile
    ]
    problems += [
        f"Procfile: no process type {service.queue!r} serves the queue of {service.name}"
        for service in (*BUILT_IN, WEBHOOK)
        if f"-Q {service.queue} " not in procfile.get(service.queue, "")
    ]
    return problems
