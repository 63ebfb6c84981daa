"""Writes that MongoDB did, and whose answer never came: nobody knows, and everybody finds out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE, ServiceType
from tests.faults.line import Line, LineFactory, processing_by
from tests.faults.processes import START_SECONDS, Running
from tests.faults.proxy import Proxy
from tests.recovery import Recovery
from tests.waiting import wait_until

AGENT = Path(sys.executable).with_name("agent")
LEASE_SECONDS = 6


def words(name: str, kind: bytes) -> bytes:
    """A field as it stands in a write: its type, its name and a zero."""
    return kind + name.encode() + b"\0"


STRING, DATE = b"\x02", b"\x09"
INSERT = words("insert", STRING)
CLAIM_ID = words("claim_id", STRING)
"""Claim and start set it within a whole lease; all others name it as `lease.claim_id`."""
COMPLETED = words("completed_at", DATE)
RENEWED = words("lease.expires_at", DATE)
CRASHED = words("wait_reason", STRING) + (6).to_bytes(4, "little") + b"crash\0"


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways of the bridge, of the worker and of whoever submits to MongoDB."""

    bridge: Proxy
    worker: Proxy
    client: Proxy


@pytest.fixture(scope="module")
def ways(mongodb_uri: str) -> Iterator[Ways]:
    with (
        Proxy.before(mongodb_uri) as bridge,
        Proxy.before(mongodb_uri) as worker,
        Proxy.before(mongodb_uri) as client,
    ):
        yield Ways(bridge, worker, client)


@pytest.fixture(scope="module")
def line(new_line: LineFactory, mongodb_uri: str, ways: Ways) -> Iterator[Line]:
    """A line that reaches its MongoDB through the proxies; the test itself looks behind them."""
    with new_line(lease=LEASE_SECONDS) as line:
        line.start_bridge(MONGODB_URI=ways.bridge.through(mongodb_uri))
        yield line


@pytest.fixture(scope="module")
def worker(line: Line, ways: Ways) -> Running:
    return start_worker(line, ways)


def start_worker(line: Line, ways: Ways) -> Running:
    return line.start_worker(
        *(GENERATIVE, ANALYSIS, COMMUNICATION),
        threads=24,
        MONGODB_URI=ways.worker.through(line.mongodb_uri),
    )


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("whose", "write", "text"),
    [
        ("bridge", "claim", CLAIM_ID),
        ("worker", "start", CLAIM_ID),
        ("worker", "completion", COMPLETED),
        ("worker", "heartbeat", RENEWED),
    ],
    ids=["claim", "start", "completion", "heartbeat"],
)
def test_a_write_whose_answer_is_lost_is_done_once(
    line: Line, ways: Ways, recovery: Recovery, *, whose: str, write: str, text: bytes
) -> None:
    """Whoever wrote reads what came of it: no context is lost, and none is called again."""
    proxy: Proxy = getattr(ways, whose)
    lost = proxy.lost_answers
    proxy.lose_answer_to(text)
    ids = [
        context_id
        for service in (GENERATIVE, ANALYSIS, COMMUNICATION)
        for context_id in submit(line, service)
    ]
    wait_until(lambda: proxy.lost_answers == lost + 1)
    with recovery.of(
        f"the answer to a {write} lost", at_most="the calls, 7 s, and 2 s", until="all final"
    ):
        line.wait_until_final(ids, 60)
    line.assert_sound(ids)
    assert {document["attempt"] for document in line.documents(ids)} == {1}


def submit(line: Line, service: ServiceType) -> list[str]:
    """Some that last longer than a lease, and some that do not."""
    return [
        *line.submit(service, 2, fault={"latency_seconds": LEASE_SECONDS + 1}),
        *line.submit(service, 4),
    ]


def test_a_rescue_whose_answer_is_lost_is_done_once(
    line: Line, ways: Ways, worker: Running, recovery: Recovery
) -> None:
    """The context is started once more, and no more than that."""
    ids = line.submit(GENERATIVE, 6, fault={"latency_seconds": 2 * LEASE_SECONDS, "times": 1})
    wait_until(lambda: len(processing_by(line, worker, ids)) == 6)
    lost = ways.bridge.lost_answers
    ways.bridge.lose_answer_to(CRASHED)
    worker.kill()
    wait_until(lambda: ways.bridge.lost_answers == lost + 1, 30)
    with recovery.of(
        "the answer to a rescue lost", at_most="parting, 10 s, and a start", until="all final"
    ):
        start_worker(line, ways)
        line.wait_until_final(ids, 60)
    line.assert_sound(ids)
    for document in line.documents(ids):
        assert [each["outcome"] for each in document["attempts"]] == ["lost", "completed"]


def test_a_submission_whose_answer_is_lost_is_stored_once(line: Line, ways: Ways) -> None:
    """The command says the id of a context that is there, once, and carried out."""
    ways.client.lose_answer_to(INSERT)
    command = line.processes.start(
        "submit",
        *(str(AGENT), "submit", "--service", "GENERATIVE", "--body", '{"prompt": "Just once"}'),
        environment={"MONGODB_URI": ways.client.through(line.mongodb_uri)},
    )
    assert command.wait(START_SECONDS) == 0
    assert ways.client.lost_answers == 1
    [found] = line.database["contexts"].find({"template.service_template.prompt": "Just once"})
    assert found["_id"] == command.log_path.read_text().strip()
    line.wait_until_final([found["_id"]], 30)
    line.assert_sound([found["_id"]])
