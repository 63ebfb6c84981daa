"""Worker processes that are killed and stopped amid their calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from tests.checker import sent
from tests.faults.line import Line, LineFactory, processing_by
from tests.faults.proxy import Proxy
from tests.recovery import Recovery
from tests.waiting import wait_until

LEASE_SECONDS = 3
QUEUE_LEASE_SECONDS = 50
"""The timeout of the services here, and 30 s."""


pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line with a bridge and no workers."""
    with new_line() as line:
        line.start_bridge()
        yield line


def test_kill_9_amid_calls_loses_nothing_and_sends_no_message_twice(
    line: Line, recovery: Recovery
) -> None:
    """What may be repeated is carried out by another worker; what was being sent is parked."""
    doomed = line.start_worker(GENERATIVE, ANALYSIS, COMMUNICATION, threads=12)
    slow = {"latency_seconds": 5, "times": 1}
    repeatable = [
        *line.submit(GENERATIVE, 8, fault=slow),
        *line.submit(ANALYSIS, 8, fault=slow),
    ]
    messages = line.submit(COMMUNICATION, 8, fault=slow)
    ids = [*repeatable, *messages]
    wait_until(lambda: processing_by(line, doomed, messages))
    held = wait_until(lambda: processing_by(line, doomed, ids))
    doomed.kill()
    being_sent = [
        each["_id"] for each in line.documents(messages) if each["status"] == "processing"
    ]
    with recovery.of(
        "worker killed amid its calls, another one started",
        at_most=f"lease + rescue + the wait after a crash, {LEASE_SECONDS} + 5 + 10 s",
        until="all final",
    ):
        line.start_worker(GENERATIVE, ANALYSIS, COMMUNICATION, threads=12)
        line.wait_until_final(ids, 60)
    assert being_sent
    line.assert_sound(ids, failed=dict.fromkeys(being_sent, "OutcomeUnknown"))
    lost = {each["_id"] for each in line.documents(ids) if each["attempts"][0]["outcome"] == "lost"}
    assert lost >= set(held)
    keys = [call["idempotency_key"] for call in sent(line.sandbox.calls(COMMUNICATION))]
    assert len(keys) == len(set(keys))
    assert len(line.sandbox.delivered()) == len(set(line.sandbox.delivered()))


def test_messages_in_the_hands_of_a_killed_process_are_carried_out_soon(
    line: Line, recovery: Recovery
) -> None:
    """They are taken back when it has been silent for 8 s, long before their leases run out."""
    with Proxy.before(line.mongodb_uri) as proxy:
        doomed = line.start_worker(ANALYSIS, threads=8, MONGODB_URI=proxy.through(line.mongodb_uri))
        view = line.view_of(doomed)
        proxy.stall()  # so that it fetches messages and starts none of them
        ids = line.submit(ANALYSIS, 12)
        assert view is not None
        fetched = f"{line.settings.dramatiq_namespace}:__acks__.{view.broker_id}.analysis"
        wait_until(lambda: line.client.scard(fetched) == 8)
        doomed.kill()
    with recovery.of(
        "worker killed with messages that it had not begun, another one started",
        at_most="its silence, 8 s, and a look at it, 2 s",
        until="all final",
    ):
        line.start_worker(ANALYSIS)
        line.wait_until_final(ids, QUEUE_LEASE_SECONDS / 2)
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}


def test_a_worker_stopped_past_its_lease_writes_nothing_when_it_goes_on(
    line: Line, recovery: Recovery
) -> None:
    """Its results come too late, though others are at the same contexts just then."""
    late = line.start_worker(GENERATIVE, threads=4)
    ids = line.submit(GENERATIVE, 4, fault={"latency_seconds": 4})
    wait_until(lambda: len(processing_by(line, late, ids)) == 4)
    late.freeze()
    with recovery.of(
        "worker stopped past its lease",
        at_most=f"lease + rescue + the wait after a crash, {LEASE_SECONDS} + 5 + 10 s",
        until="the first is in the hands of another one",
    ):
        other = line.start_worker(GENERATIVE, threads=4)
        wait_until(lambda: processing_by(line, other, ids), 40)
    late.thaw()  # the replies to its calls have long been there
    wait_until(lambda: len(late.logged("attempt.stale")) == 4)
    stale = late.logged("attempt.stale")
    assert {(each["context_id"], each["fence"]) for each in stale} == {(each, 1) for each in ids}
    line.wait_until_final(ids, 40)
    line.assert_sound(ids)
    for document in line.documents(ids):
        first, *rest = document["attempts"]
        assert (first["outcome"], first["fence"]) == ("lost", 1)
        assert [each["outcome"] for each in rest] == ["completed"]
