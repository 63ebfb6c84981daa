"""Documents that another program overwrites with rubbish while their calls run: each ends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from bson import Int64

from agent.models import Document
from agent.services import GENERATIVE
from tests.checker import Call, sent, was_served
from tests.faults.line import Line, LineFactory, processing_by
from tests.recovery import Recovery
from tests.waiting import wait_until

SLOW = {"latency_seconds": 3, "times": 1}
RUBBISH: list[Document] = [
    {"lease": "mine"},
    {"lease": 7},
    {"lease": []},
    {"lease": None},
    {"lease.token": {"no": "token"}},
    {"lease.expires_at": "tomorrow"},
    {"lease.expires_at": None},
    {"fence": "high"},
    {"fence": None},
    {"fence": -5},
    {"fence": math.nan},
    {"fence": Int64(2**63 - 1)},
    {"fence": [1], "lease": {}},
    {"attempt": "first"},
    {"attempts": "none"},
    {"crashes": "many", "lease": False},
    {"failures": {}, "lease": 0},
    {"started_at": "now", "processed_by": 1, "lease": "x"},
]
MAY_FAIL = ("ContextUnreadable", "ResultNotStorable")
"""Where there is no place for what has to be written."""
ELSEWHERE: list[Document] = [
    {"status": "completed", "results": {"by": "hand"}},
    {"status": "failed", "error": {"type": "Theirs", "message": "they say so"}},
    {"status": "of another system"},
]
"""What they replace the whole document with: it is then theirs, and nothing of ours touches it."""


pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line whose worker does many at once."""
    with new_line() as line:
        line.start_bridge()
        yield line


def calls_of(line: Line, document: Document) -> list[Call]:
    """The calls for one context, its result among their replies when it has one."""
    request_id = document["request"]["id"]

    def found() -> list[Call]:
        return [call for call in sent(line.sandbox.calls()) if call["request_id"] == request_id]

    if document["status"] == "completed":
        wait_until(lambda: was_served(document["results"], found()))
    return found()


@pytest.mark.timeout(300)
def test_rubbish_in_what_is_ours_holds_nobody_up(line: Line, recovery: Recovery) -> None:
    """Leases, fences and counts of any type and value: bridge and worker live on, neighbours are
    carried out, and each such context is final in the end."""
    worker = line.start_worker(GENERATIVE, threads=40)
    ids = line.submit(GENERATIVE, len(RUBBISH), fault=SLOW)
    wait_until(lambda: len(processing_by(line, worker, ids)) == len(ids))
    contexts = line.database["contexts"]
    for context_id, fields in zip(ids, RUBBISH, strict=True):
        assert contexts.update_one({"_id": context_id}, {"$set": fields}).modified_count == 1
    with recovery.of(
        "rubbish written into lease, fence or counts while the call runs",
        at_most="looks for what has no lease, and for what was not adopted, 60 s each",
        until="all final",
    ):
        neighbours = line.submit(GENERATIVE, 20)
        line.wait_until_final(neighbours, 20)
        line.wait_until_final(ids, 160)
    line.assert_sound(neighbours)
    for document in line.documents(ids):  # whose history the checker would hold against them
        calls = calls_of(line, document)
        assert {call["idempotency_key"] for call in calls} == {document["_id"]}
        if document["status"] == "completed":
            continue
        assert document["error"]["type"] in MAY_FAIL
    assert_alive(line)


def test_a_document_that_became_another_programs_is_left_alone(line: Line) -> None:
    """Replaced as a whole, status and all, while its call runs: the result is dropped."""
    worker = line.start_worker(GENERATIVE, threads=8)
    ids = line.submit(GENERATIVE, len(ELSEWHERE), fault=SLOW)
    wait_until(lambda: len(processing_by(line, worker, ids)) == len(ids))
    contexts = line.database["contexts"]
    theirs: dict[str, dict[str, Any]] = {}
    for context_id, fields in zip(ids, ELSEWHERE, strict=True):
        theirs[context_id] = {"_id": context_id, "theirs": True, **fields}
        assert contexts.replace_one({"_id": context_id}, theirs[context_id]).modified_count == 1
    neighbours = line.submit(GENERATIVE, 5)
    wait_until(lambda: set(ids) <= {each["context_id"] for each in worker.logged("attempt.stale")})
    line.wait_until_final(neighbours, 20)
    assert {each["_id"]: each for each in line.documents(ids)} == theirs
    line.assert_sound(neighbours)
    assert_alive(line)


def assert_alive(line: Line) -> None:
    """No process of the line has died, and the bridge's duties do not fail again and again."""
    [bridge] = [each for each in line.processes.running if each.name == "bridge"]
    assert all(each.handle.alive for each in (bridge, *line.workers))
    assert bridge.logged("job.broken") == []
    assert bridge.logged("round.broken") == []
