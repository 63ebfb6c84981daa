"""The processes of the system, which are those of the Procfile."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from agent.cli.system.commands import Command, bridge, web, workers
from agent.services import BUILT_IN, WEBHOOK
from scripts.house.procfile import read_procfile

PROCFILE = Path(__file__).parents[3] / "Procfile"


def procfile_commands() -> dict[str, list[str]]:
    """The commands of the Procfile with their defaults filled in."""
    text = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", PROCFILE.read_text())
    return {name: shlex.split(line) for name, line in read_procfile(text).items()}


def as_typed(command: Command) -> list[str]:
    """What would be typed for it with the interpreter's programs on the PATH."""
    python, _, module, *rest = command.arguments
    assert python == sys.executable
    return ["dramatiq", *rest] if module == "dramatiq" else ["python", "-m", module, *rest]


def test_they_are_those_of_the_procfile() -> None:
    """`agent up` and the demo run what a platform runs."""
    expected = procfile_commands()
    del expected["release"]
    commands = [web(), bridge(), *workers((*BUILT_IN, WEBHOOK))]
    assert {command.name: as_typed(command) for command in commands} == expected


def test_processes_and_threads_are_as_said() -> None:
    """`AGENT_PROCESSES` and `AGENT_THREADS` count here, too."""
    [command] = workers(BUILT_IN[:1], processes=2, threads=8)
    assert shlex.join(command.arguments[3:]) == (
        "agent.actors -Q generative -p 2 -t 8 --worker-shutdown-timeout 20000 --skip-logging"
    )
