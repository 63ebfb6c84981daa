"""How many commands of MongoDB something costs: counted where they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)


@dataclass(slots=True)
class Cost:
    """Commands so far."""

    commands: int = 0


_cost: ContextVar[Cost | None] = ContextVar("cost", default=None)


@contextmanager
def counted() -> Iterator[Cost]:
    """Count what is sent within, and by threads that are given this context."""
    token = _cost.set(Cost())
    try:
        cost = _cost.get()
        assert cost is not None
        yield cost
    finally:
        _cost.reset(token)


class CountedCommands(CommandListener):
    """Counts each command for whoever has it sent; a connection is given it as a listener."""

    def started(self, event: CommandStartedEvent) -> None:
        if (cost := _cost.get()) is not None:
            cost.commands += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to do."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to do."""
