"""Waiting for something to become true, in place of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout: float = 30.0, interval: float = 0.02) -> T:
    """Ask `predicate` until its answer is true, and return that answer.

    Raises:
        AssertionError: it was never true within `timeout` seconds; with its last answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {timeout:g} s: {_what(predicate)} (last answer: {answer!r})"
            )
        time.sleep(interval)


def wait_until_past(moment: float) -> None:
    """Wait until the monotonic clock is past a moment: what lasts some time, such as an outage."""
    while (left := moment - time.monotonic()) > 0:
        time.sleep(left)


def _what(predicate: Callable[[], object]) -> str:
    code = getattr(predicate, "__code__", None)
    where = f" at {code.co_filename}:{code.co_firstlineno}" if code else ""
    return f"{getattr(predicate, '__qualname__', predicate)}{where}"
