"""How a command that runs until it is told to stop is told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop(BaseException):
    """Raised in the main thread by the first SIGTERM, SIGHUP or Ctrl-C."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Let the first signal raise `Stop` in here, wherever that is; it ends with this block.

    After that SIGTERM and SIGHUP are not heard any more, as platforms send them several times; a
    second Ctrl-C interrupts, for people who have no time.
    """

    def stop(number: int, _frame: object) -> None:
        for deaf in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(deaf, _do_nothing)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise Stop(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except Stop:
        return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _do_nothing(_number: int, _frame: object) -> None:
    """Take a signal. A function, not SIG_IGN: a process started meanwhile would inherit that."""
