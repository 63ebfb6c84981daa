"""What follows for a parent from its children, as the writes that settle does. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agent.duties.steps import (
    Move,
    StepState,
    counts_of,
    moves_of,
    progress_of,
    verdict_of,
    why_failed,
)
from agent.intake.families import COMPLETE_WITHIN
from agent.models import FINAL, OPEN, PARENT, Document, ErrorRecord, Status
from agent.store import parent_changes
from agent.store.changes import Write
from agent.store.marks import is_child
from agent.store.parents import INCOMPLETE, in_template_order
from agent.store.retention import Retention

LOOK_AGAIN = timedelta(minutes=10)
"""An open parent is looked at so often without any mark: if one should ever be lost, no parent is
open for ever."""

_WRITES = {
    Move.UNBLOCK: parent_changes.unblock,
    Move.CANCEL: parent_changes.cancel_step,
    Move.BLOCK_AGAIN: parent_changes.block_again,
}


@dataclass(slots=True)
class Plan:
    """What one look at a parent comes to, in the order in which it is done.

    Args:
        keeps: until when the children of a parent are kept; None for as long as it is open.
    """

    keeps: tuple[Any, datetime | None] | None = None
    steps: list[Write] = field(default_factory=list)
    parent: Write | None = None
    marks: list[Write] = field(default_factory=list)
    """Only after the parent was written."""
    ends: Status | None = None
    began: int = 0
    """How many steps begin."""


def plan_request(
    parent: Document, children: Sequence[Document], now: datetime, retention: Retention
) -> Plan:
    """What follows for a request whose steps were read after it."""
    plan = Plan()
    reopening = [child for child in children if reopens(child)]
    if reopening:
        return plan_reopening(parent, reopening, now)
    ours = (child for child in children if isinstance(child["_id"], str))
    steps = [StepState.of(child) for child in in_template_order(parent, ours)]
    counts = counts_of(steps)
    incomplete = is_given_up(parent, sum(counts.values()), now)
    if incomplete or is_cancelled(parent):
        open_ = [step for step in steps if step.status in OPEN]
        plan.steps = [
            parent_changes.cancel_children(
                now, Status(step.status), [step.id], fence=parent["fence"]
            )
            for step in open_
        ]
    else:
        moves = moves_of(steps)
        plan.steps = [_WRITES[move](now, step_id) for step_id, move in moves.items()]
        plan.began = sum(move is Move.UNBLOCK for move in moves.values())
    if len(plan.steps) > plan.began:  # what was counted is not true any more
        return plan
    plan.marks = [
        parent_changes.unmark(child["_id"], token_of(child))
        for child in children
        if "unsettled" in child
    ]
    recount(plan, parent, counts, steps, now, retention=retention)
    return plan


def recount(
    plan: Plan,
    parent: Document,
    counts: Counter[str],
    steps: Sequence[StepState],
    now: datetime,
    *,
    retention: Retention,
) -> None:
    """Write down how far a parent is, and how it ends."""
    if parent.get("status") in FINAL:
        plan.keeps = kept_with(parent)
        plan.parent = leaves(parent, now)
        return
    total, there = total_of(parent), sum(counts.values())
    progress = progress_of(counts, total)
    error: ErrorRecord | None = None
    given_up = is_given_up(parent, there, now)
    ends = verdict_of(
        counts, there if given_up else total, cancelling=bool(parent.get("cancelling"))
    )
    if given_up and ends is not None:
        error = ErrorRecord(
            type=INCOMPLETE,
            message=f"only {there} of its {total} parts were ever stored",
            retryable=False,
        )
        plan.ends = Status.FAILED
    elif ends is not None:
        error = why_failed(counts, steps) if ends is Status.FAILED else None
        plan.ends = ends
    else:
        look_at = now + LOOK_AGAIN
        if there < total:
            look_at = min(look_at, as_date(parent.get("incomplete_at"), look_at))
        plan.parent = parent_changes.note(
            now, parent, look_at=look_at, **{"results.progress": progress}
        )
        return
    keep = retention.of_end(parent, plan.ends)
    plan.parent = parent_changes.verdict(
        now, parent, plan.ends, progress=progress, error=error, keep=keep
    )


def plan_reopening(parent: Document, reopening: Sequence[Document], now: datetime) -> Plan:
    """Open a parent again, of which these children say so."""
    is_kept = isinstance(parent.get("expire_at"), datetime)
    return Plan(
        keeps=(parent["_id"], None) if is_kept else None,
        parent=parent_changes.reopen(now, parent),
        marks=[told(child) for child in reopening],
    )


def told(child: Document) -> Write:
    """The parent is open, and what a child had to tell it was heard; what else its mark says is
    still to be done."""
    if child.get("kind") == PARENT and child.get("status") in FINAL:
        return parent_changes.unmark(child["_id"], token_of(child))
    return parent_changes.unmark_reopening(child["_id"], token_of(child))


def leaves(parent: Document, now: datetime) -> Write | None:
    """A final parent, unless it has something to tell its batch."""
    if "unsettled" not in parent or tells(parent):
        return None
    return parent_changes.leave(now, parent)


def reopens(child: Document) -> bool:
    mark = child.get("unsettled")
    return isinstance(mark, dict) and bool(mark.get("reopens"))


def tells(parent: Document) -> bool:
    """Whether a parent has something to tell the batch that it is part of."""
    mark = parent.get("unsettled")
    return is_child(parent) and isinstance(mark, dict) and bool({"tells", "reopens"} & mark.keys())


def token_of(child: Document) -> Any:
    mark = child.get("unsettled")
    return mark.get("token") if isinstance(mark, dict) else None


def total_of(parent: Document) -> int:
    total = parent.get("total")
    return total if isinstance(total, int) else 0


def is_given_up(parent: Document, there: int, now: datetime) -> bool:
    """Whether its creation was interrupted, and nobody has finished it for long."""
    made_at = as_date(parent.get("created_at"), now)
    complete_by = as_date(parent.get("incomplete_at"), made_at + COMPLETE_WITHIN)
    is_expanding = isinstance(parent.get("expanding"), dict)
    return there < total_of(parent) and complete_by <= now and not is_expanding


def is_cancelled(parent: Document) -> bool:
    return bool(parent.get("cancelling")) or parent.get("status") == Status.CANCELLED


def kept_with(parent: Document) -> tuple[Any, datetime] | None:
    """Until when the children of a final parent are kept, if that is not for ever."""
    until = parent.get("expire_at")
    return (parent["_id"], until) if isinstance(until, datetime) else None


def as_date(value: Any, default: datetime) -> datetime:
    return value if isinstance(value, datetime) else default
