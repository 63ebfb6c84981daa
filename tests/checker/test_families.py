"""The rules about parents are checked in turn: each finds a forged batch that breaks it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from agent.duties.steps import progress_of
from agent.models import Document
from tests.checker import ChangeEvent, History, Plan, Record, Violation, all_violations
from tests.checker.families import OF_PARENTS
from tests.factories import a_context

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BATCH, ITEM, PLAIN = "bat_1", "bat_1_0000001", "bat_1_0000002"


def a_parent(id: str, parent_id: str | None, status: str, children: dict[str, int]) -> Document:
    total = sum(children.values())
    return {
        "_id": id, "kind": "parent", "parent_id": parent_id, "status": status, "fence": 2,
        "total": total, "results": {"progress": progress_of(children, total)},
        "completed_at": NOW, "updated_at": NOW,
    }  # fmt: skip


def an_event(second: int, **fields: Any) -> ChangeEvent:
    moment = NOW.replace(second=second)
    operation: Any = "update" if second else "insert"
    return ChangeEvent(operation, BATCH, (second + 1, 1), moment, {"updated_at": moment, **fields})


def a_child(id: str, parent_id: str, **fields: Any) -> Document:
    """One that nobody had to call, so that the other rules have nothing to say."""
    return a_context(
        _id=id, parent_id=parent_id, status="cancelled", fence=0, completed_at=NOW, **fields
    )


@dataclass
class Batch:
    """A batch of two items of which one has two steps, all of them cancelled: it is sound."""

    documents: dict[str, Document] = field(default_factory=dict)
    events: list[ChangeEvent] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)

    def violations(self) -> list[Violation]:
        """What is found of the parents."""
        rules = {rule.__name__ for rule in OF_PARENTS}
        record = Record(tuple(self.events))
        history = History([*self.documents], [*self.documents.values()], [], record)
        return [each for each in all_violations(history, self.plan) if each.rule in rules]


def a_batch() -> Batch:
    documents = [
        a_parent(BATCH, None, "cancelled", {"cancelled": 2}),
        a_parent(ITEM, BATCH, "cancelled", {"cancelled": 2}),
        a_child(f"{ITEM}_a", ITEM), a_child(f"{ITEM}_b", ITEM), a_child(PLAIN, BATCH),
    ]  # fmt: skip
    events = [
        an_event(0, status="processing", fence=0),
        an_event(1, fence=1),
        an_event(2, status="cancelled", fence=2),
    ]
    return Batch({each["_id"]: each for each in documents}, events)


class Forgery(NamedTuple):
    """What is changed in the sound batch, and what the rule says of it."""

    rule: str
    says: str
    forge: Callable[[Batch], object]


def _set(id: str, **fields: Any) -> Callable[[Batch], object]:
    return lambda batch: batch.documents[id].update(fields)


def _tell(*events: ChangeEvent) -> Callable[[Batch], object]:
    return lambda batch: batch.events.extend(events)


def _progress(batch: Batch) -> None:
    batch.documents[BATCH]["results"] = copy.deepcopy(batch.documents[BATCH]["results"])
    batch.documents[BATCH]["results"]["progress"]["cancelled"] = 1


def _complete_item(batch: Batch) -> None:
    for step in "ab":
        batch.documents[f"{ITEM}_{step}"]["status"] = "completed"


FORGERIES = (
    Forgery("has_all_its_children", f"{BATCH}: has 1 children of 2",
            lambda batch: batch.documents.pop(PLAIN)),
    Forgery("has_all_its_children", f"{ITEM}: has 2 children of 3", _set(ITEM, total=3)),
    Forgery("ends_with_its_children", f"{BATCH}: is cancelled while 1",
            _set(PLAIN, status="pending")),
    Forgery("ends_with_its_children", f"{BATCH}: is cancelled while 1",
            _set(ITEM, status="processing")),
    Forgery("ends_with_its_children", f"{ITEM}: is processing though",
            _set(ITEM, status="processing")),
    Forgery("ends_as_its_children", f"{ITEM}: is completed with 0 of 2",
            _set(ITEM, status="completed")),
    Forgery("ends_as_its_children", f"{ITEM}: is cancelled though all", _complete_item),
    Forgery("ends_as_its_children", f"{BATCH}: is failed with error None",
            _set(BATCH, status="failed")),
    Forgery("counts_its_children", f"{BATCH}: says", _progress),
    Forgery("leaves_nothing_to_do", f"{BATCH}: is cancelled and has expanding",
            _set(BATCH, expanding={"next": 1})),
    Forgery("leaves_nothing_to_do", f"{BATCH}: is cancelled, and 1 of its children have marks",
            _set(ITEM, unsettled={"tells": True})),
    Forgery("moves_as_parents_do", "went from cancelled to failed",
            _tell(an_event(3, status="failed", fence=3))),
    Forgery("moves_as_parents_do", "was inserted as pending",
            lambda batch: batch.events.insert(0, an_event(0, status="pending", fence=0))),
    Forgery("raises_its_fence", "became processing at fence 2",
            _tell(an_event(3, status="processing"))),
    Forgery("raises_its_fence", "the fence fell from 2 to 1", _tell(an_event(3, fence=1))),
    Forgery("is_held_by_nobody", "is a parent and has a lease", _set(BATCH, lease={"owner": "w"})),
)  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda each: f"{each.rule}: {each.says}")
def test_a_parent_that_must_not_be_is_found(forgery: Forgery) -> None:
    """The rule that a forged batch breaks says so."""
    batch = a_batch()
    forgery.forge(batch)
    found = [each.sentence for each in batch.violations() if each.rule == forgery.rule]
    assert any(forgery.says in sentence for sentence in found), found


def test_every_rule_about_parents_has_a_forgery() -> None:
    """A rule that no forged batch breaks might as well not be there."""
    assert {forgery.rule for forgery in FORGERIES} == {rule.__name__ for rule in OF_PARENTS}


def test_a_sound_batch_breaks_no_rule_about_parents() -> None:
    """Nor does one that need not be final yet."""
    assert a_batch().violations() == []
    open_ = a_batch()
    open_.plan = Plan(unfinished=[BATCH, ITEM])
    open_.documents[BATCH] |= {"status": "processing", "total": 7, "expanding": {"next": 1}}
    open_.events.pop()
    assert open_.violations() == []
