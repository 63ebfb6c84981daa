"""What the client tries again, and for how long."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agent.client.errors import Unavailable
from agent.client.tries import SPREAD, Tries, is_worth_another_try, read_retry_after

BUSY = json.dumps({"type": "/problems/in-progress"}).encode()
CONFLICT = json.dumps({"type": "/problems/conflict"}).encode()


class Clock:
    """Goes on when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (429, b"", True), (503, b"", True), (502, b"<html>", True), (500, b"", True),
        (409, BUSY, True), (409, CONFLICT, False), (409, b"[", False), (422, b"", False),
        (401, b"", False), (404, b"", False), (202, b"", False), (302, b"", False),
    ],
)  # fmt: skip
def test_what_may_be_answered_better(status: int, content: bytes, expected: bool) -> None:
    """What passes by itself; what is wrong with the request stays wrong."""
    assert is_worth_another_try(status, content) is expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), ("5", 5.0), (" 0 ", 0.0), ("soon", None), ("-3", None)]
)
def test_retry_after_in_seconds(value: str | None, expected: float | None) -> None:
    """What cannot be read is as if it were not there."""
    assert read_retry_after(value) == expected


def test_retry_after_as_a_date() -> None:
    """A past one is now."""
    now = datetime.now(UTC)
    soon = read_retry_after(format_datetime(now + timedelta(seconds=100), usegmt=True))
    assert soon is not None
    assert 50 < soon <= 100
    assert read_retry_after(format_datetime(now - timedelta(days=1), usegmt=True)) == 0


def test_pauses_grow_and_end_with_patience() -> None:
    """None goes beyond it, and the last error is told."""
    clock = Clock()
    tries = Tries("http://h", 20, clock)
    pauses: list[float] = []

    def pause() -> None:
        pauses.append(tries.after_error("cut", sent=False))
        clock.now += pauses[-1]

    while clock.now < 20:
        pause()
    with pytest.raises(Unavailable, match="no answer from http://h for 20 s; the last try: cut"):
        pause()
    assert sum(pauses) == pytest.approx(20)
    assert max(pauses[:2]) < 0.3 < max(pauses) <= 5
    assert not tries.maybe_done


def test_the_servers_word_is_waited_for() -> None:
    """A bit longer even, so that not all come back at once; but not beyond patience."""
    tries = Tries("http://h", 60, Clock())
    pause = tries.after_reply(429, b"", "7")
    assert pause is not None
    assert 7 <= pause <= 7 * (1 + SPREAD)
    assert tries.after_reply(503, b"", "3600") == 60
    assert tries.after_reply(200, b"", None) is None
    assert tries.maybe_done
