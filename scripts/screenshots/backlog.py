"""What the three services have done, do and have before them: GENERATIVE is busy, ANALYSIS answers
503 since some minutes and is paused, COMMUNICATION is well. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from agent.models import Document, ErrorRecord
from scripts.screenshots.making import Call, Maker, seconds
from scripts.screenshots.works import (
    CHURN,
    FORBIDDEN,
    FORECAST,
    INVOICE,
    LATE,
    LETTER,
    NO_CONNECTION,
    NOTICE,
    OVERLOADED,
    PARKED,
    SUMMARY,
    TOO_MANY,
    Work,
    no_value,
    too_long,
)

MINUTE, HOUR, DAY = 60, 3600, 86400
OUTAGE = 5.5 * MINUTE
"""So long ago ANALYSIS began to answer 503."""
DENSE, SPARE = 1.2 * HOUR, 40
"""Of what was completed longer ago than that one stands for so many, so that it stays little."""
WAITING = 1204
AGAIN = 164
STUBBORN_ID = "ctx_01KB7Q2M8XJ5V0T3RW9YHEC6FA"
DONE_ID = "ctx_01KB7Q0N4S2B6ZKD1P8GM5TQVE"
RUNNING_ID = "ctx_01KB7Q5D9A7CXW3HN0F2EJRSKM"
VANISHED_ID = "ctx_01KB7Q6K1C8S4YB2XZ9TGN5EDW"
"""Its worker was killed."""
DEAD_ID = "ctx_01KB7PZB3V6M0E4TQK9Y1SDWGH"

KINDS: tuple[tuple[Work, tuple[int, ...], float], ...] = (
    (LETTER, (3, 9), 0.0), (SUMMARY, (4, 8), 0.0),
    (CHURN, (5, 12), OUTAGE), (FORECAST, (2, 3), OUTAGE),
    (INVOICE, (3, 6), 0.0), (NOTICE, (5, 11), 0.0),
)  # fmt: skip
"""Of each kind the least and the most that is completed in a minute, and since when none is."""


def completed(maker: Maker) -> Iterator[Document]:
    """What was done in the last day, and what little ANALYSIS still does."""
    for work, (least, most), until in KINDS:
        age = until + 4.0
        while age < DAY:
            yield maker.completed(work, age + maker.chance.uniform(0, 3))
            pace = maker.chance.uniform(least, most) / MINUTE
            age += (1 if age < DENSE else SPARE) / pace

    for _ in range(14):
        yield maker.completed(CHURN, maker.chance.uniform(4, OUTAGE))


def waiting(maker: Maker) -> Iterator[Document]:
    """What could start now, if it were let."""
    for number in range(WAITING):
        work = CHURN if number % 4 else FORECAST
        yield maker.context(work, "pending", 5 + number * OUTAGE / WAITING)
    for _ in range(31):
        yield maker.context(maker.chance.choice((LETTER, SUMMARY)), "pending",
                            maker.chance.uniform(1, 25))  # fmt: skip
    for _ in range(3):
        yield maker.context(NOTICE, "pending", maker.chance.uniform(0.1, 0.9))
    for hours in range(1, 40):
        yield maker.context(INVOICE, "scheduled", 2 * HOUR, wait_reason="delay",
                            available_at=maker.now + seconds(hours * HOUR / 4))  # fmt: skip


def again(maker: Maker) -> Iterator[Document]:
    """What is to be tried again, after errors of several kinds."""
    chance = maker.chance
    for number in range(AGAIN):
        calls = chance.choice((1, 2, 3, 4, 5))
        yield maker.again(CHURN if number % 3 else FORECAST, 40 + 45 * calls,
                          chance.uniform(84, 420), OVERLOADED, calls)  # fmt: skip
    for _ in range(21):
        yield maker.again(FORECAST, 90, chance.uniform(90, 300), NO_CONNECTION, 2)
    for _ in range(5):
        yield maker.again(LETTER, 420, chance.uniform(60, 150), TOO_MANY, 1)
    for _ in range(6):
        yield maker.again(SUMMARY, 200, chance.uniform(60, 300), LATE, 3)


def dead(maker: Maker) -> Iterator[Document]:
    """What failed for good."""
    chance = maker.chance
    for _ in range(47):
        yield maker.failed(
            LETTER, chance.uniform(20, 20 * HOUR), too_long(chance.randint(8001, 30000))
        )
    for _ in range(12):
        yield maker.failed(LETTER, chance.uniform(HOUR, 3 * HOUR), no_value("name"))
    for _ in range(8):
        yield maker.failed(INVOICE, chance.uniform(300, 9 * HOUR), FORBIDDEN)
    for _ in range(3):
        yield maker.failed(INVOICE, chance.uniform(2 * HOUR, 3 * HOUR), PARKED)


def running(maker: Maker) -> list[Document]:
    """What workers have in their hands, of which one has been there for long."""
    chance = maker.chance
    return [
        maker.running(LETTER, 48.0, _id=RUNNING_ID),
        *(maker.running(chance.choice((LETTER, SUMMARY)), chance.uniform(0.3, 4), process)
          for process in (1, 1, 1, 2, 2)),
        maker.running(NOTICE, 0.1),
    ]  # fmt: skip


def examples(maker: Maker) -> Iterator[Document]:
    """Contexts whose own pages are worth a look."""
    tried = (
        Call(0.4, 0.9, "retry", OVERLOADED), Call(3.6, 1.4, "retry", OVERLOADED),
        Call(11.0, 30.0, "retry", LATE), Call(52.0, 1.1, "retry", OVERLOADED),
        Call(95.0, 2.2, "retry", OVERLOADED),
    )  # fmt: skip
    yield maker.context(CHURN, "scheduled", 118, tried, _id=STUBBORN_ID, wait_reason="retry",
                        available_at=maker.now + seconds(80))  # fmt: skip
    yield maker.context(
        LETTER, "completed", 1900,
        (Call(0.3, 2.4, "snooze", TOO_MANY), Call(14.0, 30.0, "retry", LATE),
         Call(49.0, 3.1, "completed")),
        _id=DONE_ID, snoozes=1,
    )  # fmt: skip
    ends = (Call(0.3, 1.0, "retry", OVERLOADED), Call(4.0, 0.7, "retry", OVERLOADED),
            Call(14.0, 2.0, "failed", PARKED))  # fmt: skip
    vanished = Call(0.2, 30.0, "lost", ErrorRecord(
        type="WorkerLost", message="its worker has not renewed the lease"))  # fmt: skip
    yield maker.context(NOTICE, "scheduled", 330, (vanished,), _id=VANISHED_ID, crashes=1,
                        wait_reason="crash", available_at=maker.now + seconds(70))  # fmt: skip
    yield maker.context(INVOICE, "failed", 2100, ends, _id=DEAD_ID, max_attempts=5)
