"""A clock of the database that a test moves: hours pass in no time, for leases and schedules."""

from __future__ import annotations

from datetime import datetime, timedelta

from agent.settings import Settings
from agent.store.clock import ServerClock
from agent.store.connection import connect
from agent.store.mongo_context_repository import MongoContextRepository


class MovedClock(ServerClock):
    """The server's clock, ahead by as much as a test says. Several repositories may share it."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead

    def pass_time(self, duration: timedelta) -> None:
        """So much time goes by."""
        self.ahead += duration


def connect_by(clock: ServerClock, settings: Settings) -> MongoContextRepository:
    """A repository that takes the time from this clock."""
    return MongoContextRepository(connect(settings, clock), clock, settings)
