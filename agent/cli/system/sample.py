"""Work for a system that has none: requests to the sandboxes, with every outcome there is."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

from agent.cli.demo.performance import put_in, service_of
from agent.cli.demo.plan import Planned, plan
from agent.cli.opened import opened
from agent.cli.system.lines import Lines
from agent.errors import AgentError

EVERY_SECONDS = 0.5
"""Between two requests: enough to see something, and little enough to go on for a day."""


def keep_asking(lines: Lines, ends: threading.Event) -> None:
    """Ask for one thing after the other until it ends; what cannot be stored is told."""
    with opened() as found:
        service = service_of(found)
        for planned in _endless():
            try:
                put_in(planned, service, found.repository, source="sample")
                found.ring()
            except AgentError as exc:
                lines.tell("agent", f"nothing was asked for: {exc}", "WARNING")
            if ends.wait(EVERY_SECONDS):
                return


def _endless() -> Iterator[Planned]:
    """What the demo asks for, over and over."""
    return (each for each in itertools.cycle(plan()) if each.request is not None)
