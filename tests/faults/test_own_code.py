"""Worker classes of one's own whose code is wrong: it harms the context it was called for only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.services import ANALYSIS, COMMUNICATION, ServiceType
from tests.checker import Plan
from tests.faults.line import ROOT, Line, LineFactory
from tests.faults.processes import Running
from tests.recovery import Recovery
from tests.waiting import wait_until

FAULTY = ServiceType("FAULTY", "FAULTY", "/api/v1/analyze")
CAREFUL = ServiceType("CAREFUL", "CAREFUL", "/api/v1/analyze", on_ambiguous="park")
PYTHON = ServiceType("PYTHON", "PYTHON", "/python")

PAYLOAD = "4711-0815"
"""Stands in what every exception says."""

MODULE = '''
"""Three services that do wrong what a context asks them to, so many times."""
from agent.services import ServiceType
from agent.workers.call import ServiceRequest
from agent.workers.worker_base import ClientWorker


class Odd(Exception):
    def __str__(self):
        raise RuntimeError("not even this works")


RAISED = {
    "error": ValueError, "odd": Odd, "recursion": RecursionError, "memory": MemoryError,
    "exit": SystemExit, "interrupt": KeyboardInterrupt, "base": BaseException,
}


def wrong(context, attempt_number):
    data = context["request"]["data"]
    return data.get("wrong") if attempt_number <= data.get("times", 1) else None


def fail(how):
    if how in RAISED:
        raise RAISED[how]("the payload: 4711-0815")


class FaultyWorker(ClientWorker):
    service = ServiceType("FAULTY", "FAULTY", "/api/v1/analyze")

    def build_request(self, context):
        how = wrong(context, context["attempt"])
        if how == "build nothing":
            return None
        if how == "build raises":
            fail("error")
        request = super().build_request(context)
        if how == "build rubbish":
            return ServiceRequest(4711, object(), [])
        return request

    def read_reply(self, context, reply, *, attempt):
        how = wrong(context, attempt.number)
        if how == "read nothing":
            return None
        if how == "read rubbish":
            return "completed"
        if how == "read raises":
            fail("error")
        return super().read_reply(context, reply, attempt=attempt)


class CarefulWorker(FaultyWorker):
    service = ServiceType("CAREFUL", "CAREFUL", "/api/v1/analyze", on_ambiguous="park")


class PythonWorker(ClientWorker):
    service = ServiceType("PYTHON", "PYTHON", "/python")

    def call(self, context, request, *, attempt):
        how = wrong(context, attempt.number)
        fail(how)
        if how == "nothing":
            return None
        if how == "unstorable":
            return {"at": {1, 2}}
        return {"attempt": attempt.number}
'''

BEFORE = {"build nothing": "TypeError", "build raises": "ValueError"}
"""Nothing was sent."""
AFTER = {
    "build rubbish": "AttributeError",  # found out only while the call is being made
    "read nothing": "TypeError",
    "read rubbish": "TypeError",
    "read raises": "ValueError",
}
"""The service may have done its work."""
ORDINARY = {
    "error": "ValueError",
    "odd": "Odd",
    "recursion": "RecursionError",
    "memory": "MemoryError",
    "nothing": "TypeError",
}
BEYOND = ("exit", "interrupt", "base")
"""What is raised to end a process, and is no `Exception`."""


@pytest.fixture(scope="module")
def line(new_line: LineFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A line with one process for three services of one's own, two of which call the sandbox."""
    folder: Path = tmp_path_factory.mktemp("own")
    (folder / "wrong_workers.py").write_text(MODULE)
    classes = ("Faulty", "Careful", "Python")
    names = tuple(f"wrong_workers:{name}Worker" for name in classes)
    environment = {
        "AGENT_WORKERS": " ".join(names),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
    }
    with pytest.MonkeyPatch.context() as patch, new_line(**environment) as line:
        patch.syspath_prepend(folder)
        line.learn_services(names)
        line.start_bridge()
        yield line


@pytest.fixture(scope="module")
def worker(line: Line) -> Running:
    url = line.sandbox.environment[f"{ANALYSIS.env}_BASE_URL"]
    services = (FAULTY, CAREFUL, PYTHON)
    return line.start_worker(*services, threads=24, FAULTY_BASE_URL=url, CAREFUL_BASE_URL=url)


def first_ends(line: Line, context_id: str) -> tuple[str, str]:
    """Outcome and error of the first attempt of a context."""
    first = line.document(context_id)["attempts"][0]
    return first["outcome"], first["error"]["type"]


def neighbours_of(line: Line, *services: ServiceType) -> list[str]:
    """Contexts that ask for nothing wrong."""
    return [each for service in services for each in line.submit(service, 8)]


def assert_nothing_told(worker: Running) -> None:
    """What an exception says may be the payload; it stands in no log."""
    assert PAYLOAD not in worker.log_path.read_text()


def test_a_request_or_a_reply_that_it_cannot_make_or_read(line: Line, worker: Running) -> None:
    """It is tried again, or parked where the call had been made; no other context notices."""
    cases = BEFORE | AFTER
    faulty = {how: line.submit(FAULTY, data={"wrong": how})[0] for how in cases}
    careful = {how: line.submit(CAREFUL, data={"wrong": how})[0] for how in cases}
    neighbours = neighbours_of(line, FAULTY, CAREFUL, PYTHON)
    ids = [*faulty.values(), *careful.values(), *neighbours]
    line.wait_until_final(ids, 30)
    for how, error in cases.items():
        assert first_ends(line, faulty[how]) == ("retry", error), how
        parked = ("failed", "OutcomeUnknown") if how in AFTER else ("retry", error)
        assert first_ends(line, careful[how]) == parked, how
    failed = {careful[how]: "OutcomeUnknown" for how in AFTER}
    line.assert_sound(ids, Plan(failed=failed, parks={COMMUNICATION.name, CAREFUL.name}))
    assert {each["attempt"] for each in line.documents(neighbours)} == {1}
    assert_nothing_told(worker)


def test_a_call_that_raises_whatever_there_is(
    line: Line, worker: Running, recovery: Recovery
) -> None:
    """An error is an outcome; what would end a process ends nothing, and is held for a lost worker;
    who does it every time is found out."""
    ordinary = {how: line.submit(PYTHON, data={"wrong": how})[0] for how in ORDINARY}
    beyond = {how: line.submit(PYTHON, data={"wrong": how})[0] for how in BEYOND}
    always = {how: line.submit(PYTHON, data={"wrong": how, "times": 99})[0] for how in BEYOND}
    [unstorable] = line.submit(PYTHON, data={"wrong": "unstorable"})
    neighbours = neighbours_of(line, FAULTY, CAREFUL, PYTHON)
    raising = [*beyond.values(), *always.values()]
    wait_until(lambda: len(worker.logged("context.left_to_its_lease")) >= len(raising))
    with recovery.of(
        "SystemExit and the like raised by a worker class of one's own",
        at_most="lease + rescue + the wait after a crash, 3 + 5 + 10 s",
        until="all final that did so once",
    ):
        line.wait_until_final(list(beyond.values()), 40)
    ids = [*ordinary.values(), *raising, unstorable, *neighbours]
    line.wait_until_final(ids, 90)
    for how, error in ORDINARY.items():
        assert first_ends(line, ordinary[how]) == ("retry", error)
    for context_id in raising:
        assert first_ends(line, context_id) == ("lost", "WorkerLost")
    assert worker.handle.alive
    told = {each.get("error_type") for each in worker.logged("context.left_to_its_lease")}
    assert told == {"SystemExit", "KeyboardInterrupt", "BaseException"}
    failed = {unstorable: "ResultNotStorable", **dict.fromkeys(always.values(), "PoisonContext")}
    line.assert_sound(ids, Plan(failed=failed))
    assert {each["attempt"] for each in line.documents(neighbours)} == {1}
    assert_nothing_told(worker)
