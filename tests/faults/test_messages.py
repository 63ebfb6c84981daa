"""Messages that come more than once, and messages that no worker can take: the broker is a hint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from dramatiq import Message

from agent.projections.counters import read_counters
from agent.services import ANALYSIS, GENERATIVE, ServiceType
from agent.store.ejson import decode_id
from tests.checker import sent
from tests.faults.line import Line, LineFactory
from tests.faults.processes import Running
from tests.recovery import Recovery
from tests.waiting import wait_until

TIMES = (2, 10)
QUEUE_LEASE_SECONDS = 31
"""A timeout of one second, and 30 s."""


pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line whose queued contexts come back soon when their messages are lost."""
    with new_line(lease=30, ANALYSIS_BASE_TIMEOUT="1") as line:
        line.start_bridge()
        yield line


def queue_of(line: Line, service: ServiceType) -> str:
    """The list in Redis where the messages of a service wait."""
    return f"{line.settings.dramatiq_namespace}:{service.queue}"


def waiting(line: Line, service: ServiceType) -> dict[str, Message[Any]]:
    """The messages that wait in a queue, by the id of their context."""
    queue = queue_of(line, service)
    ids = line.client.lrange(queue, 0, -1)
    texts = [line.client.hget(f"{queue}.msgs", each) for each in ids]
    messages = [Message.decode(str(text).encode()) for text in texts]
    return {decode_id(message.args[0]): message for message in messages}


def put(line: Line, service: ServiceType, message: Message[Any], text: bytes | None = None) -> str:
    """Put a message into a queue under an id of its own; that id."""
    queue, message_id = queue_of(line, service), str(uuid4())
    named = message.copy(options={"redis_message_id": message_id})
    line.client.hset(f"{queue}.msgs", message_id, named.encode() if text is None else text)
    line.client.rpush(queue, message_id)
    return message_id


def cut_short(message: Message[Any]) -> bytes:
    """The text of a message, and not all of it."""
    return message.encode()[:-30]


def stale(workers: Sequence[Running]) -> list[str]:
    """The contexts of the messages that came too late, one for each."""
    return [line["context_id"] for each in workers for line in each.logged("context.stale")]


def counted_stale(line: Line) -> int:
    """How many of them the metrics know of."""
    return read_counters(line.client, line.settings.namespace, []).stale_fence_total


def drained(line: Line, service: ServiceType) -> bool:
    """Whether nothing of a queue is left in Redis but the dead letters."""
    queue = queue_of(line, service)
    return not line.client.exists(queue, f"{queue}.msgs")


def test_a_message_delivered_twice_or_ten_times_makes_one_call(line: Line) -> None:
    """To two workers at the same moment, and once more when all is done: each further one comes too
    late, is dropped, and counted."""
    workers = [line.start_worker(GENERATIVE, threads=16) for _ in range(2)]
    for worker in workers:
        worker.freeze()
    ids = line.submit(GENERATIVE, 12, fault={"latency_seconds": 1})
    times = {each: TIMES[number % 2] for number, each in enumerate(ids)}
    wait_until(lambda: line.in_broker(GENERATIVE) == len(ids))
    messages = waiting(line, GENERATIVE)
    for round_number in range(1, max(TIMES)):  # the second of each, then the third of each, …
        for context_id in ids:
            if round_number < times[context_id]:
                put(line, GENERATIVE, messages[context_id])
    further = [each for each in ids for _ in range(times[each] - 1)]
    assert line.in_broker(GENERATIVE) == len(ids) + len(further)

    for worker in workers:
        worker.thaw()
    line.wait_until_final(ids, 30)
    wait_until(lambda: len(stale(workers)) == len(further), 20)
    assert sorted(stale(workers)) == sorted(further)
    assert all(stale([worker]) for worker in workers)

    for context_id in ids:
        for _ in range(times[context_id]):
            put(line, GENERATIVE, messages[context_id])
    again = [each for each in ids for _ in range(times[each])]
    wait_until(lambda: len(stale(workers)) == len(further) + len(again), 20)
    wait_until(lambda: counted_stale(line) == len(further) + len(again), 20)
    wait_until(lambda: drained(line, GENERATIVE), 20)
    line.assert_sound(ids)
    documents = line.documents(ids)
    assert {each["attempt"] for each in documents} == {each["fence"] for each in documents} == {1}
    assert len(sent(line.sandbox.calls(GENERATIVE))) == len(ids)


def test_contexts_whose_messages_are_put_aside_are_carried_out_all_the_same(
    line: Line, recovery: Recovery
) -> None:
    """Whether the actor crashed before it began, or the message cannot be read: what lies in the
    dead letters names only what MongoDB has, and there it is done."""
    worker = line.start_worker(ANALYSIS)
    worker.freeze()
    ids = line.submit(ANALYSIS, 12)
    wait_until(lambda: line.in_broker(ANALYSIS) == len(ids))
    queue, messages = queue_of(line, ANALYSIS), waiting(line, ANALYSIS)
    line.client.delete(queue, f"{queue}.msgs")
    crashing, garbled, good = ids[:4], ids[4:8], ids[8:]
    named = {
        put(line, ANALYSIS, messages[each].copy(actor_name="of_another_version")): each
        for each in crashing
    }
    named |= {
        put(line, ANALYSIS, messages[each], cut_short(messages[each])): each for each in garbled
    }
    for context_id in good:
        put(line, ANALYSIS, messages[context_id])

    worker.thaw()
    aside = set(named)
    wait_until(lambda: set(line.client.zrange(f"{queue}.XQ", 0, -1)) == aside, 20)
    line.wait_until_final(good, 20)
    with recovery.of(
        "messages put aside: their actor is unknown, or they cannot be read",
        at_most=f"queue lease + rescue + a round, {QUEUE_LEASE_SECONDS} + 5 + 1 s",
        until="all final",
    ):
        line.wait_until_final(ids, QUEUE_LEASE_SECONDS + 20)
    line.witness.dead_letters |= aside
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}
    kept = [line.client.hget(f"{queue}.XQ.msgs", each) for each in aside]
    assert all(kept)
    in_mongodb = {document["_id"]: document["status"] for document in line.documents(ids)}
    assert {in_mongodb[named[each]] for each in aside} == {"completed"}
