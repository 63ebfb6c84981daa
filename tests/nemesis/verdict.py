"""What became of a run: what the checker finds, and whether every process still lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.models import Document
from tests.checker import Plan
from tests.nemesis.asks import may_fail_with
from tests.nemesis.ground import Ground
from tests.nemesis.work import Work


def problems(ground: Ground, work: Work) -> list[str]:
    """Everything that is wrong, one sentence each."""
    documents = list(ground.line.database["contexts"].find())
    # what was acknowledged, and what is there although its answer was lost
    ids = list(dict.fromkeys([*work.submitted, *(document["_id"] for document in documents)]))
    plan = Plan(
        may_fail=may_fail(documents),
        cancelled=work.cancelled,
        retried=work.retried,
        touched=work.deleted,
        gone=work.deleted,
    )
    found = [*_of_processes(ground), *_of_deleted(documents, work)]
    try:
        ground.line.assert_sound(ids, plan)
    except AssertionError as exc:
        found += str(exc).splitlines()
    return found


def may_fail(documents: Sequence[Document]) -> Mapping[Any, frozenset[str]]:
    """With what each context may fail, by what was asked of it."""
    return {
        document["_id"]: may_fail_with(
            document["metadata"]["ask"],
            document.get("service_type"),
            has_deadline=document.get("deadline_at") is not None,
        )
        for document in documents
    }


def _of_deleted(documents: Sequence[Document], work: Work) -> list[str]:
    return [
        f"{document['_id']}: is there again, though another program has deleted it"
        for document in documents
        if document["_id"] in work.deleted
    ]


def _of_processes(ground: Ground) -> list[str]:
    return [
        f"{slot.name} ended by itself with {slot.running.handle.exit_code}"
        for slot in ground.slots.values()
        if not slot.running.handle.alive
    ]
