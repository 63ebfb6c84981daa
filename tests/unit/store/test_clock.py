"""The database's clock, fed with what servers say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from pymongo.hello import Hello
from pymongo.monitoring import ServerHeartbeatSucceededEvent

from agent.models import Document
from agent.store.clock import KEPT_SAMPLES, ServerClock

NOON = datetime(2025, 3, 1, 12)
A, B = ("a.example", 27017), ("b.example", 27017)


class Monotonic:
    """This process's own clock, which a test sets."""

    def __init__(self) -> None:
        self.seconds = 5000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    clock = Monotonic()
    monkeypatch.setattr("agent.store.clock.time.monotonic", clock)
    return clock


@pytest.fixture
def clock(monotonic: Monotonic) -> ServerClock:
    return ServerClock()


def say(
    clock: ServerClock, time: object, server: tuple[str, int] = A, *, primary: bool = True
) -> None:
    """One reply to a `hello` of the driver's monitor."""
    reply: Document = {"isWritablePrimary": primary, "localTime": time}
    hello = Hello(cast(Any, reply))
    clock.succeeded(ServerHeartbeatSucceededEvent(0.001, hello, server, False))


def test_it_tells_the_servers_time(clock: ServerClock, monotonic: Monotonic) -> None:
    """Which goes on with the time that passes here."""
    say(clock, NOON)
    assert clock.now() == NOON.replace(tzinfo=UTC)
    monotonic.seconds += 90.5
    assert clock.now() == NOON.replace(tzinfo=UTC) + timedelta(seconds=90.5)


def test_a_host_with_a_wrong_clock_does_no_harm(
    clock: ServerClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own time is never asked."""
    say(clock, NOON)
    monkeypatch.setattr("agent.store.clock.time.time", lambda: 0.0)
    assert clock.now() == NOON.replace(tzinfo=UTC)


@pytest.mark.parametrize("time", [NOON, NOON.replace(tzinfo=UTC)])
def test_a_time_without_a_zone_is_utc(clock: ServerClock, time: datetime) -> None:
    """The driver's own replies come naive, and are in UTC."""
    say(clock, time)
    assert clock.now() == NOON.replace(tzinfo=UTC)
    assert clock.now().tzinfo is UTC


def test_times_have_the_grain_of_the_database(clock: ServerClock, monotonic: Monotonic) -> None:
    """What is stored and read back compares as equal."""
    say(clock, NOON)
    monotonic.seconds += 0.1239
    assert clock.now().microsecond == 123000


def test_nothing_is_known_before_a_server_has_spoken(clock: ServerClock) -> None:
    """Better no time than that of this host."""
    assert not clock.is_known
    with pytest.raises(RuntimeError, match="call learn"):
        clock.now()
    say(clock, NOON)
    assert clock.is_known


def test_a_late_reply_does_not_set_it_back(clock: ServerClock, monotonic: Monotonic) -> None:
    """A reply that was three seconds under way says a time that has passed."""
    say(clock, NOON)
    monotonic.seconds += 10
    say(clock, NOON + timedelta(seconds=7))
    assert clock.now() == NOON.replace(tzinfo=UTC) + timedelta(seconds=10)


def test_a_quicker_reply_sets_it_right(clock: ServerClock, monotonic: Monotonic) -> None:
    """The least delayed is the nearest."""
    say(clock, NOON - timedelta(seconds=3))
    monotonic.seconds += 10
    say(clock, NOON + timedelta(seconds=10))
    assert clock.now() == NOON.replace(tzinfo=UTC) + timedelta(seconds=10)


def test_a_server_whose_clock_was_set_back_is_believed_in_the_end(clock: ServerClock) -> None:
    """After as many replies as are kept."""
    say(clock, NOON)
    for _ in range(KEPT_SAMPLES - 1):
        say(clock, NOON - timedelta(hours=1))
    assert clock.now() == NOON.replace(tzinfo=UTC)
    say(clock, NOON - timedelta(hours=1))
    assert clock.now() == (NOON - timedelta(hours=1)).replace(tzinfo=UTC)


def test_only_the_primary_is_asked(clock: ServerClock) -> None:
    """A secondary's clock decides nothing."""
    say(clock, NOON, B, primary=False)
    assert not clock.is_known
    say(clock, NOON)
    say(clock, NOON + timedelta(hours=1), B, primary=False)
    assert clock.now() == NOON.replace(tzinfo=UTC)


def test_a_new_primary_is_believed_at_once(clock: ServerClock) -> None:
    """Leases are compared by its clock from then on, and who waits for that is told."""
    say(clock, NOON)
    assert clock.primary_changes == 0
    say(clock, NOON - timedelta(minutes=5), B)
    assert clock.now() == (NOON - timedelta(minutes=5)).replace(tzinfo=UTC)
    assert clock.primary_changes == 1
    say(clock, NOON, B)
    assert clock.primary_changes == 1


@pytest.mark.parametrize("time", [None, "12:00", 1_740_830_400])
def test_a_reply_without_a_time_is_left_aside(clock: ServerClock, time: object) -> None:
    """A server that does not say it is no reason to fail."""
    say(clock, time)
    assert not clock.is_known
