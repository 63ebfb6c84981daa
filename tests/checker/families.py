"""Rules about parents beside their children: requests of several steps, batches, and batches of
such requests.

They hold when nothing is left to do, and are asked of every parent among the submitted ids; its
children have to be among them, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.duties.steps import progress_of
from agent.models import FINAL, PARENT, PARENT_TRANSITIONS, Document
from tests.checker.events import count
from tests.checker.history import Life

LEFT_TO_DO = ("unsettled", "retrying", "expanding")


@dataclass(frozen=True)
class Family:
    """A parent and its children.

    Args:
        life: of the parent.
        children: all that are there, parents of their own among them.
    """

    life: Life
    children: Sequence[Document]

    @property
    def parent(self) -> Document:
        return self.life.document or {}

    @property
    def statuses(self) -> Counter[str]:
        return Counter(str(child.get("status")) for child in self.children)

    @property
    def may_be_open(self) -> bool:
        return self.life.plan.was("unfinished", self.life.key)


FamilyRule = Callable[[Family], Iterator[str]]


def is_parent(document: Document | None) -> bool:
    return (document or {}).get("kind") == PARENT


def families(lives: Sequence[Life]) -> Iterator[Family]:
    """Every parent among these, with its children."""
    children: dict[Any, list[Document]] = {}
    for life in lives:
        parent_id = (life.document or {}).get("parent_id")
        if life.document is not None and parent_id is not None:
            children.setdefault(parent_id, []).append(life.document)
    for life in lives:
        if is_parent(life.document):
            yield Family(life, children.get((life.document or {})["_id"], []))


def has_all_its_children(family: Family) -> Iterator[str]:
    """As many as it says, no less and no more."""
    total, there = family.parent.get("total"), len(family.children)
    if total != there and not family.may_be_open:
        yield f"has {there} children of {total}"


def ends_with_its_children(family: Family) -> Iterator[str]:
    """A parent is final when all its children are, and not before."""
    status = family.parent.get("status")
    open_ = [child for child in family.children if child.get("status") not in FINAL]
    if status in FINAL and open_:
        yield f"is {status} while {len(open_)} of its children are not final"
    if status not in FINAL and not open_ and not family.may_be_open:
        yield f"is {status} though all its children are final"


def ends_as_its_children(family: Family) -> Iterator[str]:
    """Completed when all of them are, and only then; with a reason when it failed."""
    status, completed = family.parent.get("status"), family.statuses["completed"]
    if status == "completed" and completed < len(family.children):
        yield f"is completed with {completed} of {len(family.children)} children completed"
    if status in ("failed", "cancelled") and completed == len(family.children):
        yield f"is {status} though all its children are completed"
    if (status == "failed") != bool(family.parent.get("error")):
        yield f"is {status} with error {family.parent.get('error')}"


def counts_its_children(family: Family) -> Iterator[str]:
    """Its progress is what a recount comes to."""
    results = family.parent.get("results")
    told = results.get("progress") if isinstance(results, Mapping) else None
    counted = progress_of(family.statuses, len(family.children))
    if told != counted and not family.may_be_open:
        yield f"says {told}, a recount comes to {counted}"


def leaves_nothing_to_do(family: Family) -> Iterator[str]:
    """Of what is final nothing waits for settle, neither in it nor in its children."""
    if family.parent.get("status") not in FINAL:
        return
    for name in LEFT_TO_DO:
        if name in family.parent:
            yield f"is {family.parent['status']} and has {name}"
    marked = [child for child in family.children if "unsettled" in child]
    if marked:
        yield f"is {family.parent['status']}, and {len(marked)} of its children have marks"


def moves_as_parents_do(family: Family) -> Iterator[str]:
    """It is open from the beginning, and goes from status to status as their table says."""
    for step in family.life.steps:
        status = step.after.get("status")
        if step.event.operation == "insert" and status != "processing":
            yield f"was inserted as {status}"
        if step.moved is None:
            continue
        if not any(
            step.moved[0] in change.sources and step.moved[1] == change.target
            for change in PARENT_TRANSITIONS.values()
        ):
            yield f"went from {step.moved[0]} to {step.moved[1]}"


def raises_its_fence(family: Family) -> Iterator[str]:
    """With each change of its status, and it never falls: nobody writes what was seen before."""
    highest = 0
    for step in family.life.steps:
        fence = count(step.after, "fence") or 0
        if fence < highest:
            yield f"the fence fell from {highest} to {fence}"
        elif step.moved and fence == highest:
            yield f"became {step.moved[1]} at fence {fence}, which it had before"
        highest = max(highest, fence)


def is_held_by_nobody(family: Family) -> Iterator[str]:
    """A parent is never claimed."""
    for name in ("lease", "remote"):
        if family.parent.get(name):
            yield f"is a parent and has a {name}"


OF_PARENTS: tuple[FamilyRule, ...] = (
    has_all_its_children,
    ends_with_its_children,
    ends_as_its_children,
    counts_its_children,
    leaves_nothing_to_do,
    moves_as_parents_do,
    raises_its_fence,
    is_held_by_nobody,
)
