"""Replies far too large, compressed or not: they cost a worker no more than the limit allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.services import COMMUNICATION, GENERATIVE
from tests.checker import Plan, sent
from tests.faults.line import Line, LineFactory
from tests.faults.processes import Running
from tests.recovery import Recovery
from tests.waiting import wait_until

MEGABYTE = 1 << 20
LIMIT = 2 * MEGABYTE
THREADS = 8
ALLOWED = THREADS * 4 * LIMIT
"""For eight replies at once: what was read, what it was read into, and what Python keeps. One reply
read as a whole would take more."""
LARGE = {
    "a gzip bomb": {"gzip_bomb_bytes": 100 * MEGABYTE},
    "a body of 100 MB": {"huge_bytes": 100 * MEGABYTE},
    "a body of 100 MB that does not say so": {"huge_bytes": 100 * MEGABYTE, "chunked": True},
}


def peak_bytes(worker: Running) -> int:
    """The most memory that any process of a worker has had so far."""
    return max(_peak_bytes(pid) for pid in worker.members())


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def served(line: Line) -> int:
    """How many calls have ended."""
    return len(sent(line.sandbox.calls()))


@pytest.mark.parametrize("name", LARGE)
def test_a_reply_without_bounds_costs_no_memory(
    new_line: LineFactory, recovery: Recovery, name: str
) -> None:
    """Each fails its context with a reason, and never to be tried by itself; neighbours are
    answered, and once the service is mended the failed ones are, too."""
    fault: Mapping[str, Any] = {**LARGE[name], "times": 1}
    limits = {
        f"{service.env}_BASE_MAX_RESPONSE_BYTES": str(LIMIT)
        for service in (GENERATIVE, COMMUNICATION)
    }
    with new_line(lease=30, **limits) as line:
        line.start_bridge()
        worker = line.start_worker(GENERATIVE, COMMUNICATION, threads=THREADS)
        usual = [line.submit(service, 8) for service in (GENERATIVE, COMMUNICATION)]
        neighbours = [each for some in usual for each in some]
        line.wait_until_final(neighbours, 30)
        before = peak_bytes(worker)

        large = line.submit(GENERATIVE, fault=fault)
        line.wait_until_final(large, 40)  # alone, so that the sandbox packs its bomb once
        large += line.submit(GENERATIVE, 7, fault=fault) + line.submit(
            COMMUNICATION, 8, fault=fault
        )
        neighbours += line.submit(GENERATIVE, 8) + line.submit(COMMUNICATION, 8)
        line.wait_until_final([*large, *neighbours], 90)
        wait_until(lambda: served(line) == len(large) + len(neighbours), 60)
        errors = [document["error"] for document in line.documents(large)]
        assert {each["type"] for each in errors} == {"ReplyTooLarge"}
        assert line.statuses(neighbours) == {"completed": len(neighbours)}
        assert peak_bytes(worker) - before < ALLOWED

        with recovery.of(
            f"Base service's reply is {name}; mended, and retried by hand",
            at_most="the calls' own time",
            until="all final",
        ):
            for context_id in large:
                line.repository.retry(context_id)
            line.wait_until_final(large, 30)
        line.assert_sound([*large, *neighbours], Plan(retried=large))
        assert {document["attempt"] for document in line.documents(large)} == {2}
        assert sorted(line.sandbox.delivered()) == sorted(set(line.sandbox.delivered()))
