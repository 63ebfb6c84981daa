"""Which injection each fault of a plan is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.nemesis.asks import SERVICES
from tests.nemesis.ground import Ground
from tests.nemesis.injection import Injection
from tests.nemesis.plan import Fault, Kind
from tests.nemesis.process_faults import Killed, Replaced, Stopped
from tests.nemesis.server_faults import RedisFlushed, RedisKilled, ServerKilled
from tests.nemesis.way_faults import AnswerLost, Cut, Slow, Stalled
from tests.nemesis.work import Work
from tests.nemesis.work_faults import DocumentsDeleted, MessagesDoubled, ServiceTrouble

SERVICE_FAULTS: Mapping[Kind, Mapping[str, object]] = {
    Kind.SERVICE_DOWN: {"down": True},
    Kind.SERVICE_BUSY: {"retry_after": 1},
    Kind.SERVICE_SLOW: {"latency_seconds": 2.0},
}


def injection_of(fault: Fault, ground: Ground, work: Work) -> Injection:
    """The injection of a fault, not begun yet."""
    return MAKERS[fault.kind](fault, ground, work)


def _redis(ground: Ground, *, keeps_data: bool) -> Injection:
    return RedisKilled(ground.redis, ground.line.client, keeps_data=keeps_data)


def _slow(fault: Fault, ground: Ground, _work: Work) -> Injection:
    line = ground.line
    url = line.mongodb_uri if fault.target.endswith("mongodb") else line.redis_url
    return Slow(ground.ways(fault.target), url, fault.amount)


def _service(fault: Fault, ground: Ground, _work: Work) -> Injection:
    return ServiceTrouble(ground.line, SERVICES[fault.target], SERVICE_FAULTS[fault.kind])


MAKERS: Mapping[Kind, Callable[[Fault, Ground, Work], Injection]] = {
    Kind.WORKER_KILLED: lambda fault, ground, _: Killed(ground.slots[fault.target]),
    Kind.WORKER_STOPPED: lambda fault, ground, _: Stopped(ground.slots[fault.target]),
    Kind.WORKER_REPLACED: lambda fault, ground, _: Replaced(ground.slots[fault.target]),
    Kind.BRIDGE_KILLED: lambda fault, ground, _: Killed(ground.slots[fault.target]),
    Kind.BRIDGE_STOPPED: lambda fault, ground, _: Stopped(ground.slots[fault.target]),
    Kind.BRIDGE_REPLACED: lambda fault, ground, _: Replaced(ground.slots[fault.target]),
    Kind.MONGODB_KILLED: lambda _fault, ground, _: ServerKilled(ground.mongodb),
    Kind.REDIS_KILLED: lambda _fault, ground, _: _redis(ground, keeps_data=True),
    Kind.REDIS_LOST: lambda _fault, ground, _: _redis(ground, keeps_data=False),
    Kind.REDIS_FLUSHED: lambda _fault, ground, _: RedisFlushed(ground.line.client),
    Kind.WAY_CUT: lambda fault, ground, _: Cut(ground.ways(fault.target)),
    Kind.WAY_STALLED: lambda fault, ground, _: Stalled(ground.ways(fault.target)),
    Kind.WAY_SLOW: _slow,
    Kind.ANSWER_LOST: lambda fault, ground, _: AnswerLost(ground.ways(fault.target), fault.text),
    Kind.MESSAGES_DOUBLED: lambda fault, ground, _: MessagesDoubled(ground, int(fault.amount)),
    Kind.SERVICE_DOWN: _service,
    Kind.SERVICE_BUSY: _service,
    Kind.SERVICE_SLOW: _service,
    Kind.DOCUMENTS_DELETED: lambda _fault, ground, work: DocumentsDeleted(ground, work),
}
