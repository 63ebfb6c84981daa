"""Callbacks by real processes, to a receiver that fails, while the one who calls is killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.models import Document
from agent.services import GENERATIVE, WEBHOOK
from tests.faults.line import Line, LineFactory
from tests.receiver import SECRET, Receiver, receiver
from tests.recovery import Recovery
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def called() -> Iterator[Receiver]:
    """Who is called back."""
    with receiver() as found:
        yield found


@pytest.fixture(scope="module")
def line(new_line: LineFactory, called: Receiver) -> Iterator[Line]:
    """A line whose only allowed host is the receiver."""
    with new_line(AGENT_WEBHOOK_HOSTS=called.host, AGENT_WEBHOOK_SECRET=SECRET) as line:
        line.start_bridge()
        line.start_worker(GENERATIVE)
        yield line


def deliveries_of(line: Line, context_id: str) -> list[Document]:
    found = line.database["contexts"].find({"tags.request": context_id}).sort("_id", 1)
    return list(found)


def test_a_receiver_that_fails_is_told_though_the_worker_is_killed(
    line: Line, called: Receiver, recovery: Recovery
) -> None:
    """Under one id, signed each time; the request itself is done once and knows nothing of it."""
    called.answers[:] = [500, 200]
    worker = line.start_worker(WEBHOOK)
    [context_id] = line.submit(GENERATIVE, callback_url=called.url)
    wait_until(lambda: [e["failures"] for e in deliveries_of(line, context_id)] == [1], 30)
    worker.kill()
    with recovery.of(
        "a receiver answers 500, and the worker that called it is killed; another is started",
        at_most="a start, and the wait after a failure, 3 + 2 s",
        until="the receiver has it",
    ):
        line.start_worker(WEBHOOK)
        wait_until(
            lambda: [e["status"] for e in deliveries_of(line, context_id)] == ["completed"], 60
        )
    [delivery] = deliveries_of(line, context_id)
    assert len({each["worker"] for each in delivery["attempts"]}) == 2
    assert {each.id for each in called.deliveries} == {delivery["_id"]}
    assert all(each.is_signed_with() for each in called.deliveries)
    message = called.deliveries[-1].message
    assert (message["type"], message["data"]["id"]) == ("request.completed", context_id)
    assert message["data"]["results"] == line.document(context_id)["results"]
    line.assert_sound([context_id])
    assert len(line.sandbox.calls(GENERATIVE)) == 1
    assert not any(SECRET in each.log_path.read_text() for each in line.processes.running)


def test_a_request_that_is_tried_again_is_told_again(line: Line, called: Receiver) -> None:
    """Its failure, and then what came of it; a second delivery with an id of its own."""
    called.answers[:], before = [204], len(called.deliveries)
    line.start_worker(WEBHOOK)
    line.sandbox.fault(GENERATIVE, status=400)
    [context_id] = line.submit(GENERATIVE, callback_url=called.url)
    wait_until(lambda: len(called.deliveries) == before + 1, 30)
    line.sandbox.heal(GENERATIVE)
    line.repository.retry(context_id)
    wait_until(lambda: len(called.deliveries) == before + 2, 30)
    failed, completed = called.deliveries[before:]
    assert [failed.message["type"], completed.message["type"]] == [
        "request.failed", "request.completed",
    ]  # fmt: skip
    assert failed.id != completed.id
    wait_until(
        lambda: [e["status"] for e in deliveries_of(line, context_id)] == ["completed"] * 2, 30
    )
