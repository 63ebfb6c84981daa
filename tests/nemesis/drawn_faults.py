"""The faults of a plan, drawn so that no two of them hold the same thing at the same time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from tests.nemesis.plan import Fault, Kind

FEWEST, MOST = 5, 8
FIRST_AT, LAST_AT = 1.0, 8.0
LEASE_SECONDS = 3.0
STOPS = (LEASE_SECONDS + 2.5, LEASE_SECONDS + 8.0)
"""Of a worker: past its lease and perhaps the rescue's next round, so that when it goes on others
are at the same contexts."""
LEADER_STOPS = (10.7, 13.0)
"""Of a bridge: past the leader's lease."""
LAST_STOP_AT: Mapping[Kind, float] = {Kind.BRIDGE_STOPPED: FIRST_AT, Kind.WORKER_STOPPED: 4.0}
"""What takes long begins early."""
APART_SECONDS = 2.0
"""Between two faults of one process: to have started again."""
TRIES = 20
SERVICES = ("GENERATIVE", "ANALYSIS", "COMMUNICATION")

Draw = Callable[[Random, float, "Crowd"], Fault]


class Crowd:
    """How many processes of each kind there are."""

    def __init__(self, bridges: int, workers: int) -> None:
        self.bridges, self.workers = bridges, workers

    def worker(self, random: Random) -> str:
        return f"worker {random.randrange(self.workers)}"

    def bridge(self, random: Random) -> str:
        return f"bridge {random.randrange(self.bridges)}"

    def way(self, random: Random) -> str:
        """From one process, or from all of a kind, to a server."""
        whose = random.choice((self.worker(random), self.bridge(random), "workers", "bridges"))
        return f"{whose} to {random.choice(('mongodb', 'redis'))}"


ANSWERS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("workers to mongodb", (b"update", b"lease.token")),
    ("bridges to mongodb", (b"update", b"claim_id")),
    ("workers to redis", (b"EVALSHA", b"SREM")),
    ("bridges to redis", (b"\r\nRPUSH\r\n",)),
)
"""Words of commands, on the ways where they are bound to be sent while there is work."""


def _killed(kind: Kind, process: str) -> Draw:
    return lambda random, at, crowd: Fault(
        at, kind, _process(process, random, crowd), random.uniform(0.1, 2.0)
    )


def _stopped(kind: Kind, process: str, least: float, most: float) -> Draw:
    return lambda random, at, crowd: Fault(
        at, kind, _process(process, random, crowd), random.uniform(least, most)
    )


def _replaced(kind: Kind, process: str) -> Draw:
    return lambda random, at, crowd: Fault(at, kind, _process(process, random, crowd), 2.0)


def _process(process: str, random: Random, crowd: Crowd) -> str:
    return crowd.worker(random) if process == "worker" else crowd.bridge(random)


def _server(kind: Kind, name: str, longest: float) -> Draw:
    return lambda random, at, _crowd: Fault(at, kind, name, random.uniform(0.2, longest))


def _way(kind: Kind, longest: float) -> Draw:
    def draw(random: Random, at: float, crowd: Crowd) -> Fault:
        late = random.uniform(0.05, 0.3) if kind is Kind.WAY_SLOW else 0.0
        return Fault(at, kind, crowd.way(random), random.uniform(1.0, longest), late)

    return draw


def _answer(random: Random, at: float, _crowd: Crowd) -> Fault:
    way, texts = random.choice(ANSWERS)
    return Fault(at, Kind.ANSWER_LOST, way, 1.0, text=random.choice(texts))


def _doubled(random: Random, at: float, _crowd: Crowd) -> Fault:
    return Fault(at, Kind.MESSAGES_DOUBLED, "redis", 0.0, random.randint(1, 9))


def _service(kind: Kind) -> Draw:
    return lambda random, at, _crowd: Fault(
        at, kind, random.choice(SERVICES), random.uniform(1.0, 4.0)
    )


DRAWS: Mapping[Kind, tuple[int, Draw]] = {
    Kind.WORKER_KILLED: (6, _killed(Kind.WORKER_KILLED, "worker")),
    Kind.WORKER_STOPPED: (4, _stopped(Kind.WORKER_STOPPED, "worker", *STOPS)),
    Kind.WORKER_REPLACED: (3, _replaced(Kind.WORKER_REPLACED, "worker")),
    Kind.BRIDGE_KILLED: (4, _killed(Kind.BRIDGE_KILLED, "bridge")),
    Kind.BRIDGE_STOPPED: (1, _stopped(Kind.BRIDGE_STOPPED, "bridge", *LEADER_STOPS)),
    Kind.BRIDGE_REPLACED: (2, _replaced(Kind.BRIDGE_REPLACED, "bridge")),
    Kind.MONGODB_KILLED: (3, _server(Kind.MONGODB_KILLED, "mongodb", 4.0)),
    Kind.REDIS_KILLED: (2, _server(Kind.REDIS_KILLED, "redis", 4.0)),
    Kind.REDIS_LOST: (2, _server(Kind.REDIS_LOST, "redis", 4.0)),
    Kind.REDIS_FLUSHED: (2, lambda _random, at, _crowd: Fault(at, Kind.REDIS_FLUSHED, "redis")),
    Kind.WAY_CUT: (4, _way(Kind.WAY_CUT, 5.0)),
    Kind.WAY_STALLED: (4, _way(Kind.WAY_STALLED, 5.0)),
    Kind.WAY_SLOW: (2, _way(Kind.WAY_SLOW, 5.0)),
    Kind.ANSWER_LOST: (5, _answer),
    Kind.MESSAGES_DOUBLED: (3, _doubled),
    Kind.SERVICE_DOWN: (2, _service(Kind.SERVICE_DOWN)),
    Kind.SERVICE_BUSY: (2, _service(Kind.SERVICE_BUSY)),
    Kind.SERVICE_SLOW: (1, _service(Kind.SERVICE_SLOW)),
    Kind.DOCUMENTS_DELETED: (
        1,
        lambda _random, at, _crowd: Fault(at, Kind.DOCUMENTS_DELETED, "contexts"),
    ),
}
"""How each kind is drawn, and how often beside the others."""


def draw_faults(random: Random, *, bridges: int, workers: int) -> tuple[Fault, ...]:
    """The faults of one plan, by their time."""
    crowd = Crowd(bridges, workers)
    drawn: list[Fault] = []
    for _ in range(random.randint(FEWEST, MOST)):
        fault = _fitting(random, crowd, drawn)
        if fault is not None:
            drawn.append(fault)
    return tuple(sorted(drawn, key=lambda fault: fault.at))


def _fitting(random: Random, crowd: Crowd, drawn: list[Fault]) -> Fault | None:
    """One that meets none of those drawn so far; None when no place for one was found."""
    kinds = list(DRAWS)
    weights = [DRAWS[kind][0] for kind in kinds]
    for _ in range(TRIES):
        [kind] = random.choices(kinds, weights)
        at = random.uniform(FIRST_AT, LAST_STOP_AT.get(kind, LAST_AT))
        fault = DRAWS[kind][1](random, round(at, 2), crowd)
        if not any(_meet(fault, other) for other in drawn):
            return fault
    return None


def _meet(one: Fault, other: Fault) -> bool:
    """Whether both would hold the same thing at once."""
    if not overlap(one.target, other.target):
        return False
    first, second = sorted((one, other), key=lambda fault: fault.at)
    return second.at < first.at + first.seconds + APART_SECONDS


def overlap(one: str, other: str) -> bool:
    """Whether two names mean the same, or one of them all of a kind to which the other belongs."""
    (whose, _, where), (whose_other, _, where_other) = (
        one.partition(" to "),
        other.partition(" to "),
    )
    if where != where_other:
        return False
    if whose == whose_other:
        return True
    plural = {whose, whose_other} & {"workers", "bridges"}
    return any(
        name.startswith(f"{every[:-1]} ") for every in plural for name in (whose, whose_other)
    )
