"""What one seed stands for: the line, its work and its faults. Pure values, ordered by time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What goes wrong, by the words of the report."""

    WORKER_KILLED = "worker killed"
    WORKER_STOPPED = "worker stopped"
    WORKER_REPLACED = "worker replaced"
    BRIDGE_KILLED = "bridge killed"
    BRIDGE_STOPPED = "bridge stopped"
    BRIDGE_REPLACED = "bridge replaced"
    MONGODB_KILLED = "MongoDB killed"
    REDIS_KILLED = "Redis killed"
    REDIS_LOST = "Redis lost its data"
    REDIS_FLUSHED = "Redis flushed"
    WAY_CUT = "way cut"
    WAY_STALLED = "way stalled"
    WAY_SLOW = "way slow"
    ANSWER_LOST = "answer lost"
    MESSAGES_DOUBLED = "messages doubled"
    SERVICE_DOWN = "service down"
    SERVICE_BUSY = "service busy"
    SERVICE_SLOW = "service slow"
    DOCUMENTS_DELETED = "documents deleted"


@dataclass(frozen=True, slots=True)
class Fault:
    """One injection.

    Args:
        at: seconds after the beginning.
        target: of processes `worker 0`; of ways `worker 0 to mongodb`, or `bridges to redis` for
            those of all; of services their name.
        seconds: how long it lasts; 0 for what is over at once.
        amount: how often a message is doubled, or by how many seconds an answer is late.
        text: what an answer is lost to.
    """

    at: float
    kind: Kind
    target: str
    seconds: float = 0.0
    amount: float = 0.0
    text: bytes = b""


@dataclass(frozen=True, slots=True)
class Batch:
    """Contexts that are submitted together.

    Args:
        service: none for documents of other programs, which say it themselves.
        ask: their kind in `asks`.
        delay: seconds until they may run.
        deadline: seconds until they must have begun.
    """

    at: float
    service: str | None
    ask: str
    count: int
    priority: int = 5
    delay: float = 0.0
    deadline: float = 0.0


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operator does.

    Args:
        word: `cancel`, `retry`, `begin anew` for both, or `run now`.
        batch: to whose contexts, by its number; None for all that wait because of a crash.
        every: to each so many-th of them.
    """

    at: float
    word: str
    batch: int | None
    every: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A seed's whole schedule.

    Args:
        bridges: how many there are.
        workers: the service types of each worker process.
    """

    seed: int
    bridges: int
    workers: tuple[tuple[str, ...], ...]
    faults: tuple[Fault, ...]
    work: tuple[Batch | Operation, ...]
