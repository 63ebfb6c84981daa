"""Documents that other programs change under our hands, and results that none can hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agent.models import Document, new_id
from agent.services import GENERATIVE
from tests.checker import Call, sent
from tests.factories import foreign
from tests.faults.line import Line, LineFactory, processing_by
from tests.faults.processes import Running
from tests.waiting import wait_until

MEGABYTE = 1_000_000
SLOW = {"latency_seconds": 3, "times": 1}


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line with a bridge."""
    with new_line(lease=30) as line:
        line.start_bridge()
        yield line


@pytest.fixture(scope="module")
def worker(line: Line) -> Running:
    return line.start_worker(GENERATIVE)


def running(line: Line, worker: Running, count: int = 1) -> list[str]:
    """Contexts whose calls run now."""
    ids = line.submit(GENERATIVE, count, fault=SLOW)
    wait_until(lambda: len(processing_by(line, worker, ids)) == count)
    return ids


def stale(worker: Running, context_id: Any) -> bool:
    """Whether the worker came too late with the result of a context."""
    return context_id in [line["context_id"] for line in worker.logged("attempt.stale")]


def theirs(**fields: Any) -> Document:
    """A document of another program, its request known by an id of its own."""
    return foreign(request={"id": new_id("req"), "text": "Hello"}, **fields)


def calls_of(line: Line, request_id: str) -> list[Call]:
    """The calls for one request that have been taken down."""
    calls = sent(line.sandbox.calls(GENERATIVE))
    return [call for call in calls if call["request_id"] == request_id]


def test_a_context_deleted_while_its_call_runs_stays_deleted(line: Line, worker: Running) -> None:
    """Its result has no place any more, and its worker goes on."""
    deleted, kept = running(line, worker, 2)
    line.database["contexts"].delete_one({"_id": deleted})
    wait_until(lambda: stale(worker, deleted))
    line.wait_until_final([kept], 10)
    assert line.documents([deleted]) == []
    line.assert_sound([kept])


def test_a_context_finished_by_another_program_keeps_what_that_wrote(
    line: Line, worker: Running
) -> None:
    """The result of the call that ran is dropped."""
    [context_id] = running(line, worker)
    theirs = {"status": "completed", "results": {"by": "hand"}}
    line.database["contexts"].update_one({"_id": context_id}, {"$set": theirs})
    before = line.document(context_id)
    wait_until(lambda: stale(worker, context_id))
    assert line.document(context_id) == before


@pytest.mark.parametrize("how", ["replaced", "deleted and inserted again"])
def test_a_context_put_in_anew_while_its_call_runs_is_carried_out_anew(
    line: Line, worker: Running, how: str
) -> None:
    """Under the same key: the first call's result belongs to a document that is gone."""
    [context_id] = running(line, worker)
    before = line.document(context_id)
    anew = foreign(_id=context_id, request=before["request"], template=before["template"])
    contexts = line.database["contexts"]
    if how == "replaced":
        contexts.replace_one({"_id": context_id}, anew)
    else:
        contexts.delete_one({"_id": context_id})
        line.insert(anew)
    line.wait_until_final([context_id], 20)
    wait_until(lambda: stale(worker, context_id))
    document = line.document(context_id)
    assert document["status"] == "completed"
    assert [each["outcome"] for each in document["attempts"]] == ["completed"]
    request_id = before["request"]["id"]
    wait_until(lambda: len(calls_of(line, request_id)) == 2)
    assert {call["idempotency_key"] for call in calls_of(line, request_id)} == {context_id}


def test_documents_of_other_programs_are_carried_out(line: Line, worker: Running) -> None:
    """Whatever their ids are; one that cannot be read fails and says why."""
    whole = {"id": "hello", "service_type": "generative", "service_template": {"prompt": "Hi"}}
    bare = {"id": "hello"}
    good = line.insert(
        theirs(template=whole),
        theirs(template=whole, _id="theirs"),
        theirs(template=bare, _id=7, tags=["Generative", "user:42"]),
        theirs(template=bare, tags={"service": "GENERATIVE"}),
    )
    [bad] = line.insert(theirs(template={**whole, "service_type": "NONE SUCH"}))
    line.wait_until_final([*good, bad], 15)
    line.assert_sound([*good, bad], failed={bad: "ContextUnreadable"})


def test_a_reply_too_large_fails_its_context_and_no_other(line: Line, worker: Running) -> None:
    """Over `max_response_bytes`, or more than a document holds: a clear failure at once."""
    [over_limit] = line.submit(GENERATIVE, fault={"huge_bytes": 9 * MEGABYTE})
    [over_all] = line.submit(GENERATIVE, fault={"huge_bytes": 40 * MEGABYTE})
    good = line.submit(GENERATIVE, 5)
    ids = [over_limit, over_all, *good]
    line.wait_until_final(ids, 30)
    line.assert_sound(ids, failed=dict.fromkeys((over_limit, over_all), "ReplyTooLarge"))
    assert line.document(over_all)["attempt"] == 1


def test_a_document_too_large_with_its_result_fails_alone(line: Line) -> None:
    """A context of 9 MB and a reply of 8: each is allowed, MongoDB holds no more than 16."""
    large = line.start_worker(GENERATIVE, GENERATION_BASE_MAX_RESPONSE_BYTES=str(15 * 1024 * 1024))
    line.stop_workers(but=large)
    [context_id] = line.submit(
        GENERATIVE,
        fault={"huge_bytes": 8 * MEGABYTE},
        data={"text": "x" * 9 * MEGABYTE},
    )
    [alone] = line.submit(GENERATIVE, fault={"huge_bytes": 15 * MEGABYTE})
    good = line.submit(GENERATIVE, 5)
    ids = [context_id, alone, *good]
    line.wait_until_final(ids, 60)
    line.assert_sound(ids, failed={context_id: "ResultNotStorable"})
    assert line.document(context_id)["attempt"] == 1
    assert len(line.document(alone)["results"]["padding"]) > 14 * MEGABYTE
