"""The signs of life of this bridge: pages tell by them who stands by, and how the duties go."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import redis

from agent.admission.gate import Room
from agent.errors import BrokerUnavailable
from agent.logs import get_logger
from agent.projections.bridges import Bridges, BridgeView
from bridge.doorbell import Doorbell
from bridge.ledger import Ledger

log = get_logger()


class SignsOfLife:
    """Says that the bridge lives, and what it has done.

    Args:
        leads: whether it leads now.
        rooms: by service, what the last round of admission found.
    """

    def __init__(
        self,
        client: redis.Redis,
        namespace: str,
        owner: str,
        ledger: Ledger,
        doorbell: Doorbell,
        *,
        leads: Callable[[], bool],
        rooms: Mapping[str, Room],
    ) -> None:
        self._bridges = Bridges(client, namespace)
        self._owner = owner
        self._ledger = ledger
        self._doorbell = doorbell
        self._leads = leads
        self._rooms = rooms
        self._started_at = datetime.now(UTC).isoformat()

    def beat(self) -> None:
        """One sign, in one command; one that does not come through is followed by the next."""
        try:
            self._bridges.beat(self._view())
        except BrokerUnavailable as exc:
            log.debug("presence.unsaid", error=str(exc))

    def leave(self) -> None:
        """Say that it ends."""
        try:
            self._bridges.leave(self._owner)
        except BrokerUnavailable as exc:
            log.debug("presence.left_unsaid", error=str(exc))

    def _view(self) -> BridgeView:
        leads = self._leads()
        return BridgeView(
            owner=self._owner,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=_version(),
            started_at=self._started_at,
            leads=leads,
            listens=self._doorbell.listens,
            watches=self._doorbell.watches,
            duties=self._ledger.views() if leads else [],
            bounds={name: str(room.bound) for name, room in dict(self._rooms).items()}
            if leads
            else {},
        )


def _version() -> str:
    try:
        return version("agent")
    except PackageNotFoundError:
        return "unknown"
