"""The processes of the system, as commands: those of the `Procfile`, for this interpreter. Pure."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from agent.services import ServiceType

SHUTDOWN_MS = 20_000
"""How long a worker's calls may go on once it is told to stop; platforms kill after 30 s."""


@dataclass(frozen=True, slots=True)
class Command:
    """One process: its name for people, and what is started."""

    name: str
    arguments: tuple[str, ...]


def web() -> Command:
    """The pages and the health checks."""
    return Command("web", (sys.executable, "-m", "agent.api"))


def bridge() -> Command:
    """What decides when something may start."""
    return Command("bridge", (sys.executable, "-m", "bridge"))


def workers(
    services: Iterable[ServiceType], *, processes: int = 1, threads: int = 64
) -> list[Command]:
    """One worker process for each service type."""
    dramatiq = (sys.executable, "-m", "dramatiq", "agent.actors")
    return [
        Command(
            service.queue,
            (
                *dramatiq,
                *("-Q", service.queue, "-p", str(processes), "-t", str(threads)),
                *("--worker-shutdown-timeout", str(SHUTDOWN_MS), "--skip-logging"),
            ),
        )
        for service in services
    ]
