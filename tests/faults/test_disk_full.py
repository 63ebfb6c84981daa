"""A MongoDB whose disk is full.

The embedded one stays alive, answers every question with an error, and has to be started again; a
mongod ends instead. It also acknowledges the very write that finds the disk full, and loses it, if
that is larger than some 100 kB; and what others write in the same moment may be missing in change
streams. So the contexts here are smaller, and one writer fills the disk.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.embedded.server import Server
from agent.services import ANALYSIS, GENERATIVE
from tests.checker import Plan, violations
from tests.faults.line import Line, LineFactory
from tests.faults.load import Load
from tests.faults.processes import START_SECONDS
from tests.faults.small_disk import MEGABYTE, SmallDisk, small_disk
from tests.recovery import Recovery
from tests.servers import running_mongodb
from tests.waiting import wait_until

AGENT = Path(sys.executable).with_name("agent")
DISK_BYTES = 64 * MEGABYTE
LEFT_BYTES = MEGABYTE
PADDING = "x" * 15_000
FAR_OFF = timedelta(hours=1)
UNAVAILABLE = 69


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disk"), DISK_BYTES) as disk:
        yield disk


@pytest.fixture(scope="module")
def mongodb(disk: SmallDisk) -> Iterator[Server]:
    with running_mongodb(disk.folder, durable=True) as server:
        yield server


@pytest.fixture(scope="module")
def line(new_line: LineFactory, mongodb: Server) -> Iterator[Line]:
    with new_line(mongodb=mongodb.url, lease=30) as line:  # so that few write beside that writer
        yield line


def test_with_the_disk_full_submissions_are_refused_and_none_is_acknowledged_and_lost(
    line: Line, mongodb: Server, disk: SmallDisk
) -> None:
    """With space again, and MongoDB started anew, every acknowledged one is carried out."""
    padded = {"padding": PADDING}
    disk.fill(but_bytes=LEFT_BYTES)
    with Load(lambda: line.submit(GENERATIVE, 2, data=padded), pause_seconds=0.005) as load:
        load.wait_for_refusal(60)
    refused = line.processes.start(
        "submit", str(AGENT), "submit", "--service", "GENERATIVE", "--body", '{"prompt": "Hi"}'
    )
    assert refused.wait(START_SECONDS) == UNAVAILABLE
    assert "MongoDB" in refused.log_path.read_text()
    disk.clear()
    mongodb.restart()
    ids = load.acknowledged
    assert line.count(ids, status="pending") == len(ids) > 0
    line.start_bridge()
    line.start_worker(GENERATIVE, ANALYSIS, threads=16)
    line.wait_until_final(ids, 90)
    line.assert_sound(ids)


def test_calls_that_end_while_the_disk_is_full_are_not_made_again(
    line: Line, mongodb: Server, disk: SmallDisk, recovery: Recovery
) -> None:
    """Their worker keeps the replies until they can be stored."""
    [worker] = line.workers
    ids = line.submit(ANALYSIS, 8, fault={"latency_seconds": 8})
    wait_until(lambda: line.count(ids, status="processing") == 8)
    disk.fill(but_bytes=0)
    later = {"data": {"padding": PADDING}, "available_at": line.repository.now() + FAR_OFF}
    with Load(lambda: line.submit(GENERATIVE, 2, **later), pause_seconds=0.005) as load:
        load.wait_for_refusal(60)
    wait_until(lambda: {each["context_id"] for each in worker.logged("reply.kept")} >= set(ids), 20)
    disk.clear()
    mongodb.restart()
    with recovery.of(
        "disk of MongoDB full, space made, and MongoDB started again",
        at_most="2 s",
        until="all final whose calls had ended",
    ):
        line.wait_until_final(ids, 60)
    # all but the changes, see above; a message is acknowledged a moment after its write
    wait_until(lambda: violations(replace(line.history(ids), record=None), Plan()) == [], 30)
    assert {document["attempt"] for document in line.documents(ids)} == {1}
    assert line.count(load.acknowledged, status="scheduled") == len(load.acknowledged)
