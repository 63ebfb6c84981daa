"""A client that goes on submitting while servers die, and notes what it was promised."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from agent.errors import AgentError
from tests.waiting import wait_until

PAUSE_SECONDS = 0.1
END_SECONDS = 60.0
"""For a question that is under way to end: a socket's own limit, and more."""


class Load:
    """Submits in a thread of its own until it is left.

    Args:
        submit: creates some contexts; their ids.
        pause_seconds: between two submissions.
    """

    def __init__(
        self, submit: Callable[[], list[Any]], *, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self._submit = submit
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._broken: BaseException | None = None
        self.acknowledged: list[Any] = []
        """Every id whose insert was acknowledged."""
        self.refusals: list[str] = []
        """What each submission came to that was not."""

    def wait_for_more(self, count: int, timeout: float = 30.0) -> list[Any]:
        """Wait until so many more are acknowledged; all that are by then."""
        enough = len(self.acknowledged) + count
        wait_until(lambda: self._broken or len(self.acknowledged) >= enough, timeout)
        assert self._broken is None
        return list(self.acknowledged)

    def wait_for_refusal(self, timeout: float = 30.0) -> str:
        """Wait until one more submission is refused; why."""
        enough = len(self.refusals) + 1
        wait_until(lambda: self._broken or len(self.refusals) >= enough, timeout)
        assert self._broken is None
        return self.refusals[-1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join(END_SECONDS)
        if kind is None:
            assert not self._thread.is_alive()
            assert self._broken is None

    def _run(self) -> None:
        while not self._stopping.wait(self._pause_seconds):
            try:
                self.acknowledged += self._submit()
            except AgentError as exc:
                self.refusals.append(str(exc))
            except BaseException as exc:
                self._broken = exc
                return
