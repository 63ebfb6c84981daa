"""What follows for the steps of a request from the statuses of those before them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from agent.models import FINAL, Document, ErrorRecord, Status
from agent.store.parent_changes import BY_SETTLE

MOST_NAMED = 20
FAILED_STEPS = "StepsFailed"


class Move(Enum):
    """What settle does to a step."""

    UNBLOCK = "unblock"
    CANCEL = "cancel"
    BLOCK_AGAIN = "block_again"


@dataclass(frozen=True, slots=True)
class StepState:
    """One step as far as others depend on it.

    Args:
        goes_on: what comes after it is carried out though it failed.
        revivable: it was cancelled only because of those before it.
    """

    id: Any
    key: str
    status: str
    after: tuple[Any, ...] = ()
    goes_on: bool = False
    revivable: bool = False
    error: str | None = None

    @classmethod
    def of(cls, document: Document) -> StepState:
        """The state of a stored step."""
        after, error = document.get("after"), document.get("error")
        return cls(
            id=document["_id"],
            key=str(document.get("step") or document["_id"]),
            status=str(document.get("status")),
            after=tuple(each for each in after if isinstance(each, str))
            if isinstance(after, list)
            else (),
            goes_on=document.get("on_failure") == "continue",
            revivable=document.get("cancelled_by") == BY_SETTLE,
            error=str(error.get("type")) if isinstance(error, dict) else None,
        )


def moves_of(steps: Sequence[StepState]) -> dict[Any, Move]:
    """What is to be done, by the id of the step; each is looked at after all before it."""
    statuses = {step.id: step.status for step in steps}
    goes_on = {step.id for step in steps if step.goes_on}
    moves: dict[Any, Move] = {}
    for step in in_order(steps):
        before = [(each, statuses.get(each)) for each in step.after]
        blocked = any(
            status in (Status.FAILED, Status.CANCELLED) and each not in goes_on
            for each, status in before
        )
        move: Move | None = None
        if step.status == Status.WAITING and blocked:
            move, statuses[step.id] = Move.CANCEL, Status.CANCELLED
        elif step.status == Status.WAITING and all(status in FINAL for _, status in before):
            move, statuses[step.id] = Move.UNBLOCK, Status.PENDING
        elif step.status == Status.CANCELLED and step.revivable and not blocked:
            move, statuses[step.id] = Move.BLOCK_AGAIN, Status.WAITING
        if move is not None:
            moves[step.id] = move
    return moves


def in_order(steps: Sequence[StepState]) -> list[StepState]:
    """Each step behind all that it comes after; what waits for itself is left out."""
    by_id = {step.id: step for step in steps}
    open_ = {step.id: len([each for each in step.after if each in by_id]) for step in steps}
    behind: dict[Any, list[Any]] = {}
    for step in steps:
        for each in step.after:
            behind.setdefault(each, []).append(step.id)
    ready = [step.id for step in steps if not open_[step.id]]
    ordered: list[StepState] = []
    while ready:
        done = ready.pop()
        ordered.append(by_id[done])
        for follower in behind.get(done, ()):
            open_[follower] -= 1
            if not open_[follower]:
                ready.append(follower)
    return ordered


def progress_of(counts: Mapping[str, int], total: int) -> Document:
    """How far a parent is, by how many of its children have which status. 100 % is all of them."""
    succeeded = counts.get(Status.COMPLETED, 0)
    failed, cancelled = counts.get(Status.FAILED, 0), counts.get(Status.CANCELLED, 0)
    processed = succeeded + failed + cancelled
    return {
        "total": total,
        "processed": processed,
        "succeeded": succeeded,
        "failed": failed,
        "cancelled": cancelled,
        "percentage": 1000 * processed // total / 10 if total else 100.0,
    }


def verdict_of(counts: Mapping[str, int], total: int, *, cancelling: bool) -> Status | None:
    """How a parent ends; None while a child is missing or not final."""
    final = sum(counts.get(status, 0) for status in FINAL)
    if sum(counts.values()) < total or final < sum(counts.values()):
        return None
    if final == counts.get(Status.COMPLETED, 0):
        return Status.COMPLETED
    return Status.CANCELLED if cancelling else Status.FAILED


def counts_of(steps: Sequence[StepState]) -> Counter[str]:
    """How many steps have each status."""
    return Counter(step.status for step in steps)


def why_failed(counts: Mapping[str, int], steps: Sequence[StepState] = ()) -> ErrorRecord:
    """The error of a parent: which steps failed, or how many children did."""
    failed = [f"`{each.key}` ({each.error})" for each in steps if each.status == Status.FAILED]
    cancelled = [f"`{each.key}`" for each in steps if each.status == Status.CANCELLED]
    if not steps:
        failed, cancelled = _number(counts, Status.FAILED), _number(counts, Status.CANCELLED)
    parts = [
        f"{_listed(names)} {word}"
        for names, word in ((failed, "failed"), (cancelled, _were(cancelled)))
        if names
    ]
    return ErrorRecord(type=FAILED_STEPS, message="; ".join(parts), retryable=False)


def _number(counts: Mapping[str, int], status: Status) -> list[str]:
    count = counts.get(status, 0)
    return [f"{count} of {sum(counts.values())}"] if count else []


def _were(names: Sequence[str]) -> str:
    return "was cancelled" if len(names) == 1 else "were cancelled"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
