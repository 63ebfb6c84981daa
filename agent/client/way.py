"""What every way to the agent can do, by HTTP or straight to MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

from agent.client.calls import Call, Kind, Upload
from agent.client.events import Event


class Way(Protocol):
    """A way for threads; many may share one."""

    where: str
    patience: float

    def do(self, call: Call, *, patience: float | None = None) -> dict[str, Any]:
        """What the agent answers to a call."""
        ...

    def upload(self, upload: Upload) -> dict[str, Any]:
        """What the agent answers to the items of a batch."""
        ...

    def items(self, id: str) -> Iterator[dict[str, Any]]:
        """The items of a batch, in the order of their rows."""
        ...

    def events(self, kind: Kind, id: str) -> Iterator[Event]:
        """What becomes of one, until it is final."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...


class AsyncWay(Protocol):
    """A way for event loops."""

    where: str
    patience: float

    async def do(self, call: Call, *, patience: float | None = None) -> dict[str, Any]:
        """What the agent answers to a call."""
        ...

    async def upload(self, upload: Upload) -> dict[str, Any]:
        """What the agent answers to the items of a batch."""
        ...

    def items(self, id: str) -> AsyncIterator[dict[str, Any]]:
        """The items of a batch, in the order of their rows."""
        ...

    def events(self, kind: Kind, id: str) -> AsyncIterator[Event]:
        """What becomes of one, until it is final."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...
