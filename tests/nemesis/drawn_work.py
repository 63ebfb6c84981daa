"""The work of a plan: batches of contexts of every kind, and what operators do to them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.nemesis.asks import BY_SERVICE, FOREIGN, UNREADABLE
from tests.nemesis.drawn_faults import LEASE_SECONDS
from tests.nemesis.plan import Batch, Fault, Kind, Operation

END = 9.0
"""The last batch comes when the last fault has begun."""
FEWEST, MOST = 26, 34
SIZES = (1, 2, 3, 4, 6)
SLOW = ("slow", "slower")
ANEW = 0.4
"""Of the slow batches so many are begun anew."""
NEEDS_WORK = frozenset({Kind.ANSWER_LOST, Kind.MESSAGES_DOUBLED, Kind.DOCUMENTS_DELETED})
BEGUN_SECONDS = (0.6, 1.5)
"""After its submit a slow context's call runs; who then cancels it and begins anew has two calls of
it at once, of which the first is not to count."""
HAND_SECONDS = 0.5
"""While a worker is stopped an operator has what is taken from it run at once, so often."""
AMID_CALLS = frozenset({Kind.WORKER_KILLED, Kind.WORKER_STOPPED, Kind.WORKER_REPLACED})
AHEAD_SECONDS = 0.8
"""So long before a worker is hit the calls begin that it is to be hit amid."""


def draw_work(random: Random, faults: Sequence[Fault]) -> tuple[Batch | Operation, ...]:
    """The work of one plan, by its time."""
    batches = [_batch(random, 0.0) for _ in range(5)]
    batches += [_batch(random, random.uniform(0.0, END)) for _ in range(_some(random))]
    batches += [_foreign(random) for _ in range(random.randint(2, 4))]
    batches += [each for fault in faults for each in _for(random, fault)]
    batches.sort(key=lambda batch: batch.at)
    operations = [_operation(random, batches) for _ in range(random.randint(4, 8))]
    operations += [
        _anew(random, number, batches) for number in _slow(batches) if random.random() < ANEW
    ]
    operations += [each for fault in faults for each in _hands(fault)]
    return tuple(sorted([*batches, *operations], key=lambda each: each.at))


def _some(random: Random) -> int:
    return random.randint(FEWEST, MOST)


def _batch(random: Random, at: float) -> Batch:
    service = random.choice(sorted(BY_SERVICE))
    ask = random.choice(BY_SERVICE[service])
    return Batch(
        at=round(at, 2),
        service=service,
        ask=ask,
        count=random.choice(SIZES),
        priority=random.randint(1, 10),
        delay=round(random.uniform(0.2, 4.0), 2) if random.random() < 0.2 else 0.0,
        deadline=round(random.uniform(5.0, 8.0), 2) if random.random() < 0.1 else 0.0,
    )


def _foreign(random: Random) -> Batch:
    shape = random.choice((*FOREIGN, *FOREIGN, *UNREADABLE))
    return Batch(round(random.uniform(0.0, END), 2), None, shape, random.randint(1, 3))


def _for(random: Random, fault: Fault) -> list[Batch]:
    """Work that is there when a fault needs some."""
    if fault.kind in NEEDS_WORK:
        at = max(0.0, round(fault.at - 0.1, 2))
        return [Batch(at, service, "short", 3) for service in ("GENERATIVE", "ANALYSIS")]
    if fault.kind in AMID_CALLS:
        at = max(0.0, round(fault.at - AHEAD_SECONDS, 2))
        services = sorted(BY_SERVICE)
        return [Batch(at, service, random.choice(SLOW), 2) for service in services]
    return []


def _operation(random: Random, batches: Sequence[Batch]) -> Operation:
    """On a batch that is there by then."""
    number = random.randrange(len(batches))
    at = batches[number].at + random.choice((0.1, 0.5, 1.5, 3.0))
    word = random.choice(("cancel", "retry"))
    return Operation(round(at, 2), word, number, random.choice((1, 2, 3)))


def _slow(batches: Sequence[Batch]) -> list[int]:
    return [number for number, batch in enumerate(batches) if batch.ask in SLOW]


def _anew(random: Random, number: int, batches: Sequence[Batch]) -> Operation:
    at = batches[number].at + random.uniform(*BEGUN_SECONDS)
    return Operation(round(at, 2), "begin anew", number, random.choice((1, 2)))


def _hands(fault: Fault) -> list[Operation]:
    if fault.kind is not Kind.WORKER_STOPPED:
        return []
    first = fault.at + LEASE_SECONDS
    times = int((fault.seconds - LEASE_SECONDS) / HAND_SECONDS)
    return [
        Operation(round(first + number * HAND_SECONDS, 2), "run now", None)
        for number in range(times)
    ]
