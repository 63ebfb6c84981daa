"""`python -m agent.main`: all workers alone in one process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

import pytest

from agent.store.mongo_context_repository import MongoContextRepository
from tests.faults.processes import Processes, Running
from tests.faults.sandbox import Sandbox
from tests.integration.workers.works import BODIES, finished, work


def main_process(processes: Processes, environment: Mapping[str, str], **more: str) -> Running:
    """All three workers in one process of their own."""
    given = {**environment, "AGENT_POLL_INTERVAL": "0.05", "AGENT_LEASE": "3", **more}
    return processes.start("main", sys.executable, "-m", "agent.main", environment=given)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_three_run_in_one_process_until_they_are_told_to_stop(
    repository: MongoContextRepository, process_environment: dict[str, str],
    processes: Processes, sandbox: Sandbox, number: signal.Signals,
) -> None:  # fmt: skip
    """And then it ends with 0."""
    repository.insert_contexts([work(name, n) for name in BODIES for n in range(5)])
    running = main_process(processes, {**process_environment, **sandbox.environment})
    running.wait_for_start(lambda: finished(repository) == 15)
    assert len(running.logged("attempt.ended")) == 15
    pid = running.handle.pid
    assert pid is not None
    os.kill(pid, number)
    assert running.wait(30) == 0
    assert len(running.logged("worker.stopped")) == 3


def test_a_wrong_setting_ends_it_with_one_line(
    process_environment: dict[str, str], processes: Processes, sandbox: Sandbox
) -> None:
    """Which names the variable; no traceback."""
    given = {**process_environment, **sandbox.environment}
    running = main_process(processes, given, AGENT_THREADS="many")
    assert running.wait(30) == 78
    log = running.log_path.read_text()
    assert "AGENT_THREADS" in log
    assert "Traceback" not in log


def test_no_key_is_in_its_log(
    repository: MongoContextRepository, process_environment: dict[str, str],
    processes: Processes, sandbox: Sandbox,
) -> None:  # fmt: skip
    """Nor a payload."""
    repository.insert_contexts([work("GENERATIVE", 4711)])
    given = {**process_environment, **sandbox.environment, "GENERATION_BASE_API_KEY": "hush-hush"}
    running = main_process(processes, given, AGENT_LOG_LEVEL="DEBUG")
    running.wait_for_start(lambda: finished(repository) == 1)
    running.terminate()
    assert running.wait(30) == 0
    log = running.log_path.read_text()
    assert "hush-hush" not in log
    assert "Number" not in log
