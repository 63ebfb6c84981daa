"""Base services that are down, gone, or refuse the key: nothing fails, and no other one notices."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from agent.projections.counters import read_counters
from agent.projections.signals import SharedSignals
from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from agent.store.services import Pause
from tests.checker import sent
from tests.faults.line import Line, LineFactory
from tests.recovery import Recovery
from tests.waiting import wait_until, wait_until_past

BREAKER_SECONDS = 60
"""The longest that the breaker keeps a service that is back waiting."""
PAUSE_SECONDS = 61
"""So long a refused key pauses its service, and a second."""
KEY = "the-right-key"


@pytest.fixture
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line with a process for GENERATIVE and one for the others."""
    with new_line(lease=30) as line:
        line.start_bridge()
        line.start_worker(GENERATIVE)
        line.start_worker(ANALYSIS, COMMUNICATION, threads=16)
        yield line


def pause_of_generative(line: Line) -> Pause | None:
    state = line.repository.service_states().get(GENERATIVE.name)
    return state.pause if state is not None else None


def calls_in_all(line: Line, ids: Sequence[str]) -> int:
    """How often these have been called, once nothing is under way."""
    wait_until(lambda: line.count(ids, status={"$in": ["queued", "processing"]}) == 0)
    calls: int = sum(document["attempt"] for document in line.documents(ids))
    wait_until(lambda: len(sent(line.sandbox.calls(GENERATIVE))) == calls)
    return calls


def be_down(line: Line, recovery: Recovery, seconds: float) -> None:
    """GENERATIVE hangs up on every call for so long, while the others are asked now and then."""
    began = time.monotonic()
    line.sandbox.fault(GENERATIVE, down=True)
    ids = line.submit(GENERATIVE, 40)
    others: list[str] = []
    for part in (0.2, 0.5, 0.8, 1.0):
        wait_until_past(began + part * seconds)
        others += (now := line.submit(ANALYSIS, 10) + line.submit(COMMUNICATION, 10))
        line.wait_until_final(now, 10)
    assert line.count(ids, status={"$in": ["failed", "completed"]}) == 0
    with recovery.of(
        f"Base service hung up on every call for {seconds:g} s",
        at_most="its breaker's pause, 10 s doubling to 60 s, and the wait after a failure",
        until="all final",
    ):
        line.sandbox.heal(GENERATIVE)
        line.wait_until_final(ids, BREAKER_SECONDS + 30)
    line.assert_sound([*ids, *others])
    assert_no_other_noticed(line)


def assert_no_other_noticed(line: Line) -> None:
    """Neither the counts of other services nor their gates show anything of it."""
    names = [ANALYSIS.name, COMMUNICATION.name]
    counted = read_counters(line.client, line.settings.namespace, names).attempts
    assert {outcome for (name, outcome) in counted if name in names} == {"completed"}
    assert {outcome for (name, outcome) in counted if name == GENERATIVE.name} > {"completed"}
    windows = SharedSignals(line.client, line.settings.namespace).window(names)
    assert [window.failing for window in windows.values()] == [0, 0]
    assert set(line.repository.service_states()) == {GENERATIVE.name}


def test_a_service_that_is_down_fails_no_context(line: Line, recovery: Recovery) -> None:
    """For half a minute: the breaker opens, its probes fail, and it opens again when it is back."""
    be_down(line, recovery, 28)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_service_that_is_down_for_five_minutes_fails_no_context(
    line: Line, recovery: Recovery
) -> None:
    """Nor do calls pile up: who is down is asked by a probe a minute."""
    be_down(line, recovery, 300)
    assert len(sent(line.sandbox.calls(GENERATIVE))) < 40 * 3


def test_a_service_whose_machine_is_gone_parks_nothing(line: Line, recovery: Recovery) -> None:
    """Where nobody listens nothing was sent, so that messages are sent again, and once only."""
    line.sandbox.kill()
    ids = line.submit(COMMUNICATION, 20)
    wait_until(lambda: line.count(ids, failures={"$gte": 1}) >= 8)
    wait_until(lambda: COMMUNICATION.name in line.repository.service_states())
    with recovery.of(
        "Base service's machine gone; back, and its breaker's pause over",
        at_most="a probe, and its answer",
        until="all final",
    ):
        line.sandbox.start()
        line.later(COMMUNICATION, PAUSE_SECONDS)
        line.wait_until_final(ids, 30)
    line.assert_sound(ids)
    assert sorted(line.sandbox.delivered()) == sorted(ids)


def test_a_refused_key_pauses_its_service_until_it_is_put_right(
    new_line: LineFactory, recovery: Recovery
) -> None:
    """Nothing fails and no attempt counts; a probe a minute finds out whether it is right."""
    keys = {f"{service.env}_BASE_API_KEY": KEY for service in (ANALYSIS, COMMUNICATION)}
    with new_line(lease=30, api_key=KEY, **keys, GENERATION_BASE_API_KEY="wrong") as line:
        line.start_bridge()
        worker = line.start_worker(GENERATIVE)
        line.start_worker(ANALYSIS, COMMUNICATION, threads=16)
        ids = line.submit(GENERATIVE, 40)
        wait_until(lambda: pause_of_generative(line))
        others = line.submit(ANALYSIS, 10) + line.submit(COMMUNICATION, 10)
        line.wait_until_final(others, 10)
        calls = calls_in_all(line, ids)
        assert calls < 20
        paused = pause_of_generative(line)
        assert paused is not None
        assert paused.by == "unauthorized"

        line.later(GENERATIVE, PAUSE_SECONDS)
        wait_until(lambda: (now := pause_of_generative(line)) and now.since > paused.since)
        assert calls_in_all(line, ids) == calls + 1

        worker.terminate()
        assert worker.wait(10) == 0
        line.start_worker(GENERATIVE, GENERATION_BASE_API_KEY=KEY)
        assert line.count(ids, status="completed") == 0
        with recovery.of(
            "API key refused; put right, and its pause over",
            at_most="a probe, and its answer",
            until="all final",
        ):
            line.later(GENERATIVE, PAUSE_SECONDS)
            line.wait_until_final(ids, 30)
        assert pause_of_generative(line) is None
        line.assert_sound([*ids, *others])
        assert {document["failures"] for document in line.documents(ids)} == {0}
        assert_no_other_noticed(line)


def test_a_paused_service_is_resumed_by_hand(line: Line) -> None:
    """At once: what had not been refused itself does not wait for the end of the pause."""
    line.sandbox.fault(GENERATIVE, status=401)
    ids = line.submit(GENERATIVE, 40)
    wait_until(lambda: pause_of_generative(line))
    calls_in_all(line, ids)
    waiting = [each["_id"] for each in line.documents(ids) if each["status"] == "pending"]
    line.sandbox.heal(GENERATIVE)
    assert line.repository.resume_service(GENERATIVE.name)
    line.wait_until_final(waiting, 10)
    line.later(GENERATIVE, PAUSE_SECONDS)
    line.wait_until_final(ids, 10)
    line.assert_sound(ids)
