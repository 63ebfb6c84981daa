"""Steps of a request in the hands of a worker: what they get from those before them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agent.duties import roster
from agent.duties.settle import Settle
from agent.errors import StoreUnavailable
from agent.intake.context_manager import ContextManager
from agent.models import Document, RequestData, Step, Template
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.workers.stage import Process, Scripted, process, reply
from tests.waiting import wait_until

DRAFT: Document = {"prompt": "Greet {{ request.data.name }}, {{product_name}}"}


def a_step(key: str, *after: str, body: Document | None = None, **fields: Any) -> Step:
    template = Template(id="t", service_type="GENERATIVE", service_template=body or {})
    return Step(key=key, template=template, after=after, **fields)


def submit(repository: MongoContextRepository, *steps: Step) -> str:
    settings = repository.settings
    manager = ContextManager(repository, repository.now, settings.registry, settings)
    request = RequestData(id="req_1", data={"name": "Ann"})
    parent = manager.create_request(steps, request, template_id="t", template_version="1.0")
    return str(parent.id)


class Seeing:
    """Keeps every context as its service gets it."""

    def __init__(self) -> None:
        self.seen: dict[str, Document] = {}

    def __call__(self, context: Document) -> None:
        self.seen[str(context.get("step"))] = context

    def body(self, key: str) -> Any:
        return self.seen[key]["template"]["service_template"]


def a_worker(*answers: Any) -> tuple[Scripted, Seeing]:
    worker, seeing = Scripted(*answers), Seeing()
    worker.before = seeing
    return worker, seeing


def carry_all(found: Process) -> None:
    """Carry out and settle until nothing is left."""
    settle = Settle(found.repository)
    while found.carry() or settle.run():
        pass


def test_results_reach_later_steps(repository: MongoContextRepository) -> None:
    """By placeholders in their templates, and as `inputs` of the context; what is stored stays."""
    worker, seeing = a_worker(
        reply(200, {"text": "Hello", "words": 2}), reply(200, {"score": [7]}), reply(200, {})
    )
    body = {
        "message": "{{ inputs.draft.text }} ({{ inputs.score.score.0 }})",
        "count": "{{ inputs.draft.words }}",
    }
    with process(repository, worker) as found:
        parent_id = submit(
            repository,
            a_step("draft", body=DRAFT),
            a_step("score", "draft"),
            a_step("send", "score", body=body),
        )
        carry_all(found)
        assert found.document(parent_id)["status"] == "completed"
        stored = found.document(f"{parent_id}_send")
    assert seeing.body("draft") == {"prompt": "Greet Ann, {{product_name}}"}
    assert seeing.body("send") == {"message": "Hello (7)", "count": 2}
    assert seeing.seen["score"]["inputs"] == {"draft": {"text": "Hello", "words": 2}}
    assert seeing.seen["send"]["inputs"] == {
        "draft": {"text": "Hello", "words": 2}, "score": {"score": [7]},
    }  # fmt: skip
    assert "inputs" not in seeing.seen["draft"]
    assert stored["template"]["service_template"] == body
    assert "inputs" not in stored


def test_a_placeholder_without_a_value_is_a_failure(repository: MongoContextRepository) -> None:
    """Each is named, and the service is never called with a gap."""
    worker, seeing = a_worker(reply(200, {"text": "Hello"}))
    body = {"m": "{{ inputs.draft.title }} for {{ request.data.age }}"}
    with process(repository, worker) as found:
        parent_id = submit(
            repository, a_step("draft"), a_step("send", "draft", body=body), a_step("last", "send")
        )
        carry_all(found)
        failed, last = found.document(f"{parent_id}_send"), found.document(f"{parent_id}_last")
        parent = found.document(parent_id)
    assert (failed["status"], failed["error"]["type"]) == ("failed", "PlaceholderMissing")
    assert "{{ inputs.draft.title }}" in failed["error"]["message"]
    assert "{{ request.data.age }}" in failed["error"]["message"]
    assert set(seeing.seen) == {"draft"}
    assert (last["status"], parent["status"]) == ("cancelled", "failed")


def test_a_step_that_failed_brings_nothing(repository: MongoContextRepository) -> None:
    """What goes on without it gets the others' results."""
    worker, seeing = a_worker(reply(400, {}), reply(200, {"x": 1}))
    with process(repository, worker) as found:
        submit(
            repository,
            a_step("may", on_failure="continue", priority=1),
            a_step("must", priority=2),
            a_step("last", "may", "must"),
        )
        carry_all(found)
    assert seeing.seen["last"]["inputs"] == {"must": {"x": 1}}


def test_placeholders_of_a_single_context_are_filled_in(
    repository: MongoContextRepository,
) -> None:
    """Those of a document that another program inserted belong to its service."""
    worker, seeing = a_worker(reply(200, {}))
    template = {"id": "t", "service_type": "GENERATIVE", "service_template": DRAFT}
    with process(repository, worker) as found:
        found.insert("ours", template=template, step="ours")
        found.insert("theirs", template=template, step="theirs", source="foreign")
        carry_all(found)
    assert seeing.body("ours") == {"prompt": "Greet Ann, {{product_name}}"}
    assert seeing.body("theirs") == DRAFT


def test_results_are_asked_for_once_and_only_by_what_comes_after_others(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are."""
    asked: list[Sequence[Any]] = []
    results_of = repository.results_of
    monkeypatch.setattr(repository, "results_of", lambda ids: asked.append(ids) or results_of(ids))
    worker, _ = a_worker(reply(200, {}))
    with process(repository, worker) as found:
        found.insert("alone")
        parent_id = submit(repository, a_step("a"), a_step("b"), a_step("c", "a", "b"))
        carry_all(found)
    assert asked == [[f"{parent_id}_a", f"{parent_id}_b"]]


def test_a_step_waits_while_mongodb_does_not_tell_its_inputs(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not sent without them, and no failure is counted."""
    results_of = repository.results_of
    errors = [StoreUnavailable("away")] * 2

    def away(ids: Sequence[Any]) -> dict[str, Any]:
        if errors:
            raise errors.pop()
        return results_of(ids)

    monkeypatch.setattr(repository, "results_of", away)
    worker, seeing = a_worker(reply(200, {"text": "Hello"}))
    with process(repository, worker) as found:
        parent_id = submit(repository, a_step("a"), a_step("b", "a"))
        carry_all(found)
        document = found.document(f"{parent_id}_b")
    assert (document["status"], document["attempt"], document["failures"]) == ("completed", 1, 0)
    assert seeing.seen["b"]["inputs"] == {"a": {"text": "Hello"}}


def test_a_worker_that_stops_meanwhile_hands_the_step_back(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent."""
    worker, seeing = a_worker(reply(200, {}))
    with process(repository, worker) as found:
        parent_id = submit(repository, a_step("a"), a_step("b", "a"))
        found.carry()
        Settle(repository).run()

        def away(_ids: Sequence[Any]) -> dict[str, Any]:
            found.carrier._draining.set()
            raise StoreUnavailable("away")

        monkeypatch.setattr(repository, "results_of", away)
        found.carry()
        document = found.document(f"{parent_id}_b")
    assert (document["status"], document["failures"]) == ("pending", 0)
    assert set(seeing.seen) == {"a"}


def test_the_end_of_a_step_is_told_and_that_of_others_is_not(
    repository: MongoContextRepository,
) -> None:
    """So that settle need not wait for its time."""
    told: list[None] = []
    worker, _ = a_worker(reply(200, {}))
    with process(repository, worker) as found:
        found.carrier._on_step_end = lambda: told.append(None)
        found.insert("alone")
        found.carry()
        assert told == []
        submit(repository, a_step("a"), a_step("b", "a"))
        found.carry()
        assert told == [None]


def test_a_lone_worker_carries_a_chain_out_by_itself(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each end of a step settles at once, however seldom it is looked for otherwise."""
    monkeypatch.setattr(roster, "SETTLE_SECONDS", 600.0)
    worker, _ = a_worker(reply(200, {}))
    worker.repository = repository
    parent_id = submit(repository, a_step("a"), a_step("b", "a"), a_step("c", "b"))

    async def live() -> None:
        await worker.start()
        try:
            await asyncio.to_thread(
                wait_until, lambda: repository.find_context(parent_id)["status"] == "completed"
            )
        finally:
            await worker.stop()

    asyncio.run(live())
