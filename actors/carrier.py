"""What the actors ask of the one that carries contexts out; `agent.workers` has the real one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol


class Carrier(Protocol):
    """Carries out contexts in one process; every method may be called from any thread."""

    def check(self, service_types: Collection[str]) -> None:
        """Look whether these can be served, without asking any server.

        Raises:
            ConfigurationError: a service has no URL, or its worker cannot be made.
        """

    def open(self) -> None:
        """Connect, and wait for MongoDB and Redis with a message."""

    def run(self, service_type: str, context_id: Any, fence: int, claim_id: str) -> None:
        """Carry out one context. Raises nothing."""

    def flush(self) -> None:
        """Write what was counted."""

    def drain(self, grace: timedelta) -> None:
        """Take nothing more, and return when nothing runs; settle what still does after `grace`."""

    def close(self) -> None:
        """Let go of every connection."""

    @property
    def running(self) -> Sequence[Mapping[str, Any]]:
        """What runs now: `context_id`, `service_type` and `since_seconds` of each."""


CarrierFactory = Callable[[], Carrier]
"""Gives the process's one carrier, the same each time."""
