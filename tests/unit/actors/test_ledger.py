"""What a process holds of one queue, and when it fetches more."""

from __future__ import annotations

import pytest

from actors.ledger import FLUSH_RETRY_SECONDS, FLUSH_SECONDS, Ledger, window

FALLBACK = 60.0


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("actors.ledger.time.monotonic", clock)
    return clock


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    """The ledger of a queue that may count on four threads."""
    return Ledger(4)


def ids(count: int, prefix: str = "m") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("threads", "pace", "expected"),
    [
        (64, 0, (64, 63)),
        (64, 10, (64, 63)),
        (64, 100, (69, 67)),
        (64, 9999, (96, 80)),
        (1, 0, (1, 0)),
        (1, 9999, (3, 2)),
    ],
)
def test_the_window_grows_with_the_pace(
    threads: int, pace: float, expected: tuple[int, int]
) -> None:
    """Slow calls are fetched as threads get free, quick ones in batches."""
    assert window(threads, pace) == expected


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 64, 250])
@pytest.mark.parametrize("pace", [0.0, 0.5, 19.9, 20, 100, 1e6])
def test_a_window_never_leaves_a_thread_without_work(threads: int, pace: float) -> None:
    """Whatever the pace: all threads are fed, and one message that ends brings the next look."""
    high, low = window(threads, pace)
    assert threads <= high <= threads + max(2, threads // 2)
    assert threads - 1 <= low < high


def test_a_process_holds_as_many_messages_as_it_has_threads(ledger: Ledger) -> None:
    """At the start, when nothing is known of the pace."""
    assert ledger.room(FALLBACK) == 4
    ledger.fetched(ids(4), short=False)
    assert ledger.room(FALLBACK) == 0
    ledger.ack("m0")
    assert ledger.room(FALLBACK) == 1
    assert len(ledger) == 3


def test_an_empty_queue_is_left_alone_until_there_is_news(ledger: Ledger, clock: Clock) -> None:
    """Acknowledgements are no reason to look again; a wake is, and so is the time."""
    ledger.fetched(ids(2), short=True)
    assert ledger.room(FALLBACK) == 0
    ledger.ack("m0")
    assert ledger.room(FALLBACK) == 0
    ledger.hear()
    assert ledger.room(FALLBACK) == 3
    ledger.fetched([], short=True)
    clock.seconds += FALLBACK
    assert ledger.room(FALLBACK) == 3


def test_quick_work_is_fetched_ahead_and_in_batches(ledger: Ledger, clock: Clock) -> None:
    """At a hundred a second half the threads' number waits behind them."""
    ledger.fetched(ids(50), short=False)
    for message_id in ids(50):
        ledger.ack(message_id)
    clock.seconds += 0.5
    assert ledger.room(FALLBACK) == 6
    ledger.fetched(ids(6, "n"), short=False)
    assert ledger.room(FALLBACK) == 0
    ledger.ack("n0")
    assert ledger.room(FALLBACK) == 1


def test_the_bridge_is_told_of_room_when_the_queue_is_dry(ledger: Ledger) -> None:
    """Once for what ended since the last time, and not while messages are waiting."""
    assert not ledger.fetched(ids(2), short=False)
    assert not ledger.ack("m0")
    assert ledger.fetched([], short=True)  # one ended meanwhile
    assert ledger.ack("m1")
    assert not ledger.fetched([], short=True)


def test_an_idle_process_rings_nobody(ledger: Ledger) -> None:
    """A look that finds nothing, and nothing that ended: the bridge knows."""
    assert not any(ledger.fetched([], short=True) for _ in range(3))


def test_acknowledgements_wait_for_others_but_not_for_long(ledger: Ledger, clock: Clock) -> None:
    """From the first on, so that a steady flow does not put them off for ever."""
    ledger.fetched(ids(3), short=False)
    ledger.ack("m0")
    clock.seconds += FLUSH_SECONDS / 2
    ledger.ack("m1")
    assert ledger.take_acked() == []
    clock.seconds += FLUSH_SECONDS / 2
    assert ledger.take_acked() == ["m0", "m1"]
    assert ledger.take_acked() == []


def test_at_the_end_acknowledgements_wait_for_nothing(ledger: Ledger) -> None:
    """Who closes tells Redis what there is."""
    ledger.fetched(ids(1), short=False)
    ledger.ack("m0")
    assert ledger.take_acked(due=False) == ["m0"]


def test_what_redis_did_not_take_is_told_again_later(ledger: Ledger, clock: Clock) -> None:
    """In the old order, before what came meanwhile, and after a pause."""
    ledger.fetched(ids(2), short=False)
    ledger.ack("m0")
    taken = ledger.take_acked(due=False)
    ledger.ack("m1")
    ledger.give_back(taken)
    clock.seconds += FLUSH_RETRY_SECONDS / 2
    assert ledger.take_acked() == []
    clock.seconds += FLUSH_RETRY_SECONDS / 2
    assert ledger.take_acked() == ["m0", "m1"]


def test_what_is_not_yet_told_is_known_as_ours(ledger: Ledger) -> None:
    """What Redis notes beside these is a stray."""
    ledger.fetched(ids(3), short=False)
    ledger.ack("m0")
    ledger.drop("m1")
    assert ledger.known == {"m0", "m2"}


def test_news_that_came_before_the_wait_ends_it(ledger: Ledger) -> None:
    """No wake is lost between the look and the sleep."""
    ledger.hear()
    ledger.wait(FALLBACK)


def test_acknowledgements_that_are_due_end_the_wait(ledger: Ledger, clock: Clock) -> None:
    """They are told even if nothing else happens."""
    ledger.fetched(ids(1), short=True)
    ledger.ack("m0")
    clock.seconds += FLUSH_SECONDS
    ledger.wait(FALLBACK)
    assert ledger.take_acked() == ["m0"]
