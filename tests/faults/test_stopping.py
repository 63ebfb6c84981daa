"""Workers that platforms stop: SIGTERM to every process of the group, twice."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import pytest

from agent.embedded.ports import HOST
from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from tests.faults.line import Line, LineFactory
from tests.recovery import Recovery
from tests.waiting import wait_until

GRACE_SECONDS = 20
LONG = {"latency_seconds": 60, "times": 1}
"""The first call takes a minute, any other no time."""
TEN, ONE = {"latency_seconds": 10}, {"latency_seconds": 1}


@pytest.fixture
def unreachable() -> Iterator[str]:
    """A service that lets nobody in: its queue of connections is full, so that every further one
    waits for an answer to its first packet."""
    with socket.create_server((HOST, 0), backlog=0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), socket.socket() as waiting:
            waiting.setblocking(False)
            waiting.connect_ex(address)
            yield f"http://{HOST}:{address[1]}"


@pytest.fixture
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line whose calls may take longer than any grace, so that its queue's leases are long."""
    timeouts = {f"{service.env}_BASE_TIMEOUT": "90" for service in (GENERATIVE, ANALYSIS)}
    with new_line(**timeouts, COMMUNICATION_BASE_TIMEOUT="90") as line:
        line.start_bridge()
        yield line


def test_two_sigterms_settle_every_call_and_leave_nothing_behind(
    line: Line, unreachable: str, recovery: Recovery
) -> None:
    """Short calls end; long ones go by `on_ambiguous`; what was not sent runs elsewhere at once."""
    worker = line.start_worker(
        GENERATIVE, ANALYSIS, COMMUNICATION, threads=18, ANALYSIS_BASE_URL=unreachable
    )
    repeatable = line.submit(GENERATIVE, 3, fault=LONG)
    parked = line.submit(COMMUNICATION, 2, fault=LONG)
    unsent = line.submit(ANALYSIS, 2)
    ten = line.submit(GENERATIVE, 1, fault=TEN) + line.submit(COMMUNICATION, 1, fault=TEN)
    running = [*repeatable, *parked, *unsent, *ten]
    wait_until(lambda: line.count(running, status="processing") == len(running))
    ones = line.submit(GENERATIVE, 24, fault=ONE)  # two threads are left for them, three for others
    ones += line.submit(COMMUNICATION, 3, fault=ONE)
    wait_until(lambda: line.count(ones, status="queued") >= 4)
    wait_until(lambda: line.count(ones, status="processing") >= 3)
    short = [*ten, *running_of(line, ones)]
    ids = [*running, *ones]
    worker_id = line.worker_id(worker)

    worker.terminate()
    wait_until(lambda: (view := line.view_of(worker)) and view.draining)
    worker.terminate()
    assert worker.wait(GRACE_SECONDS + 15) == 0

    assert line.statuses(short) == {"completed": len(short)}
    assert {each["processed_by"] for each in line.documents(short)} == {worker_id}
    for document in line.documents(repeatable):
        [attempt] = document["attempts"]
        assert (attempt["outcome"], attempt["error"]["type"]) == ("retry", "OutcomeUnknown")
        assert document["failures"] == 1
    assert line.statuses(parked) == {"failed": 2}
    assert line.statuses(unsent) == {"pending": 2}
    assert line.count(ids, status="processing") == 0
    assert line.presence.live() == []
    assert list(line.client.scan_iter(f"{line.settings.dramatiq_namespace}:__acks__.*")) == []

    with recovery.of(
        "SIGTERM to a worker amid its calls, another one started",
        at_most="its start, 2 s for what was cut off, and the calls' own time",
        until="all final",
    ):
        line.start_worker(GENERATIVE, ANALYSIS, COMMUNICATION, threads=18)
        line.wait_until_final(ids, 60)
    line.assert_sound(ids, failed=dict.fromkeys(parked, "OutcomeUnknown"))
    assert {document["attempt"] for document in line.documents(unsent)} == {2}
    assert {document["attempt"] for document in line.documents(short)} == {1}


def running_of(line: Line, ids: Sequence[str]) -> list[str]:
    """Which of these are being carried out."""
    documents = line.documents(ids)
    return [document["_id"] for document in documents if document["status"] == "processing"]
