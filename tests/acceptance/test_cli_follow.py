"""`agent tail`: changes as they happen, on a real server, with nobody there to do the work."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.database import Database

from agent.models import Document
from tests.acceptance.commands import AGENT, LONGEST_SECONDS, Agent
from tests.factories import a_context
from tests.waiting import wait_until

Contexts = Database[Document]
SOON = 40.0


class Tail:
    """A running `agent tail`, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def end(self, number: int | None = None) -> int:
        """Its exit code, after a signal if there is to be one."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(LONGEST_SECONDS)
        self._reader.join(SOON)
        return code


@contextmanager
def tail(agent: Agent, *arguments: str) -> Iterator[Tail]:
    """Started, and gone at the end."""
    with subprocess.Popen(
        [str(AGENT), "tail", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=agent.environment,
        text=True,
    ) as process:
        try:
            yield Tail(process)
        finally:
            process.kill()


def change(database: Contexts, context_id: Any, **fields: Any) -> None:
    """What some worker writes."""
    database["contexts"].update_one({"_id": context_id}, {"$set": fields})


def test_a_request_is_followed_until_it_is_final(agent: Agent, database: Contexts) -> None:
    """A line for each change, as it happens, and the exit code says how it ended."""
    context_id = agent.submit()
    with tail(agent, context_id) as following:
        wait_until(lambda: following.lines, SOON)
        assert following.lines[0].endswith(f"UTC  {context_id}  GENERATIVE  pending")
        change(database, context_id, status="processing", attempt=1)
        wait_until(lambda: len(following.lines) == 2, SOON)
        change(database, context_id, status="completed")
        assert following.end() == 0
    assert following.lines[1].endswith("processing  call 1")
    assert following.lines[2].endswith("completed  call 1")


def test_one_that_is_over_is_told_at_once(agent: Agent) -> None:
    """For programs an object a line, as the events of the API have it."""
    context_id = agent.submit()
    agent("cancel", context_id)
    done = agent("tail", context_id, "--json")
    assert (done.code, done.err) == (1, "")
    told = [json.loads(line) for line in done.out.splitlines()]
    assert [(each["id"], each["status"], each["service"]) for each in told] == [
        (context_id, "cancelled", "GENERATIVE")
    ]


def test_all_contexts_are_followed_until_ctrl_c(agent: Agent, database: Contexts) -> None:
    """Those of one service and status alone; the exit code is 130, and nothing is said of it."""
    numbers = iter(range(1000))
    with tail(agent, "--service", "analysis", "--status", "failed") as following:

        def is_told() -> bool:
            number = next(numbers)
            database["contexts"].insert_many(
                [
                    a_context(_id=f"bad {number}", service_type="ANALYSIS", status="failed"),
                    a_context(_id=f"good {number}", service_type="ANALYSIS"),
                ]
            )
            return bool(following.lines)

        wait_until(is_told, SOON, interval=0.3)
        assert following.end(signal.SIGINT) == 130
        assert following.process.stderr is not None
        assert following.process.stderr.read() == ""
    assert all("  ANALYSIS  failed" in line and "  bad " in line for line in following.lines)


def test_what_cannot_be_followed_is_told(agent: Agent) -> None:
    """No such context, and filters that say nothing about one."""
    gone, both = agent("tail", "nosuch"), agent("tail", "nosuch", "--service", "ANALYSIS")
    assert (gone.code, gone.err) == (1, "agent: no context 'nosuch'\n")
    assert (both.code, both.err) == (
        2, "agent: --service and --status: go without an ID only\n",
    )  # fmt: skip
