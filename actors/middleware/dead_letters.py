"""Keeps the message of an actor that crashed, for people to look at."""

from __future__ import annotations

from typing import Any

from dramatiq import Broker, Middleware
from dramatiq.broker import MessageProxy


class DeadLetters(Middleware):
    """Rejects the message of an actor that raised, which without `Retries` nobody else does.

    Its context is not lost: its lease runs out.
    """

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Mark it as failed, so that it is moved to `.XQ`."""
        if exception is not None:
            message.fail()
