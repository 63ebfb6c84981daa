"""Waiting for the end of a request or a batch: how long each question may take. Pure, but for the
clock."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from agent.client.errors import RequestCancelled, RequestFailed, ResultTimeout
from agent.client.events import FINAL
from agent.client.tries import Clock, Timeout, seconds_of

LONGEST_WAIT_SECONDS = 25.0
"""What the API waits at most; routers of platforms cut a request after 30."""
PAUSE_SECONDS = 1.0
"""After an answer that came sooner than it had to: that server is about to stop."""


class Waiting:
    """One who waits for something to be final.

    Args:
        id: of what.
        timeout: for how long; None for ever.
        wait: seconds that one question takes at most.
    """

    def __init__(
        self,
        id: str,
        timeout: Timeout,
        wait: float = LONGEST_WAIT_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._id = id
        self._clock = clock
        self._wait = wait
        self._timeout = None if timeout is None else seconds_of(timeout)
        self._end = None if self._timeout is None else clock() + self._timeout
        self._asked_at = clock()
        self._asked = 0.0

    @property
    def left(self) -> float | None:
        """Seconds that are left; None where there is no end."""
        return None if self._end is None else max(0.0, self._end - self._clock())

    def next(self) -> float:
        """The seconds that the next question waits."""
        left = self.left
        self._asked_at = self._clock()
        self._asked = self._wait if left is None else min(self._wait, left)
        return self._asked

    def pause_after(self, answer: Mapping[str, Any]) -> float | None:
        """How long to wait before the next question; None if there is none to ask.

        Raises:
            ResultTimeout: the time is over.
        """
        if answer.get("status") in FINAL:
            return None
        if self.left == 0:
            raise self.late(str(answer.get("status")))
        if self._clock() - self._asked_at > self._asked / 2:
            return 0.0
        pause = PAUSE_SECONDS * random.uniform(0.5, 1)
        return pause if self.left is None else min(pause, self.left)

    def late(self, status: str) -> ResultTimeout:
        """The error that says that the time is over."""
        return ResultTimeout(f"{self._id} is not final after {self._timeout:g} s: {status}")


def results_of(answer: Mapping[str, Any]) -> Any:
    """What a request brought that is final.

    Raises:
        RequestFailed: nothing: it failed.
        RequestCancelled: nothing: it was cancelled.
    """
    check_ended_well(answer)
    return answer.get("results")


def check_ended_well(answer: Mapping[str, Any]) -> None:
    """Refuse what failed, or was cancelled.

    Raises:
        RequestFailed: it failed.
        RequestCancelled: it was cancelled.
    """
    if answer.get("status") == "failed":
        raise RequestFailed(answer)
    if answer.get("status") == "cancelled":
        raise RequestCancelled(answer)
