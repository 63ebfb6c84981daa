"""A call that never returns, whatever is asked of it: its thread is lost, nothing else is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.services import ServiceType
from tests.faults.line import ROOT, STOP_SECONDS, Line, LineFactory
from tests.recovery import Recovery
from tests.waiting import wait_until

HANGING = ServiceType("HANGING", "HANGING", "/hanging")
LEASE_SECONDS = 3
LONGEST_RUN_SECONDS = 31
"""The timeout of one second, and 30 s: so long a call is held to be alive."""
RESCUE_SECONDS = 5
PART_SECONDS = 10

MODULE = '''
"""A service that hangs: for its first so many attempts."""
import threading

from agent.services import ServiceType
from agent.workers.worker_base import ClientWorker


class HangingWorker(ClientWorker):
    service = ServiceType("HANGING", "HANGING", "/hanging")

    def call(self, context, request, *, attempt):
        if attempt.number <= context["request"]["data"].get("hangs", 0):
            while True:
                threading.Event().wait()
        return {"attempt": attempt.number}
'''


@pytest.fixture
def line(new_line: LineFactory, tmp_path: Path) -> Iterator[Line]:
    """A line with one process of four threads, whose calls may take a second."""
    (tmp_path / "hanging_workers.py").write_text(MODULE)
    name = "hanging_workers:HangingWorker"
    environment = {
        "AGENT_WORKERS": name,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        "HANGING_BASE_TIMEOUT": "1",
    }
    with pytest.MonkeyPatch.context() as patch, new_line(**environment) as line:
        patch.syspath_prepend(tmp_path)
        line.learn_services((name,))
        line.start_bridge()
        yield line


def test_a_call_that_never_returns_loses_its_context_and_no_more(
    line: Line, recovery: Recovery
) -> None:
    """Others are carried out beside it, it is itself once its lease is not renewed any more, and
    SIGTERM ends the process, exit code 0, though the threads hang still."""
    worker = line.start_worker(HANGING, threads=4)
    hung = line.submit(HANGING, 2, data={"hangs": 1})
    wait_until(lambda: line.count(hung, status="processing") == 2)
    with recovery.of(
        "a call hangs for ever",
        at_most="timeout + 30 s, lease, rescue, and the wait after a crash, "
        f"{LONGEST_RUN_SECONDS} + {LEASE_SECONDS} + {RESCUE_SECONDS} + {PART_SECONDS} s",
        until="all final, by other threads",
    ):
        neighbours = line.submit(HANGING, 20)
        line.wait_until_final(neighbours, 20)
        assert line.count(hung, status="processing", attempt=1) == 2
        line.wait_until_final(hung, LONGEST_RUN_SECONDS + LEASE_SECONDS + 40)
    line.assert_sound([*hung, *neighbours], drained=False)  # their threads hold two messages
    for document in line.documents(hung):
        assert [each["outcome"] for each in document["attempts"]] == ["lost", "completed"]
        assert document["results"] == {"attempt": 2}
    assert {each["attempt"] for each in line.documents(neighbours)} == {1}

    [held] = line.submit(HANGING, data={"hangs": 1})  # its lease is still renewed
    wait_until(lambda: line.count([held], status="processing") == 1)
    worker.terminate()
    wait_until(lambda: (view := line.view_of(worker)) and view.draining)
    worker.terminate()
    assert worker.wait(STOP_SECONDS) == 0
    [attempt] = line.document(held)["attempts"]
    assert (attempt["outcome"], attempt["error"]["type"]) == ("retry", "OutcomeUnknown")
    line.start_worker(HANGING, threads=4)
    line.wait_until_final([held], 30)
    line.assert_sound([*hung, *neighbours, held])
