"""A request of several steps as it is stored: a parent, and a child for each step. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.durations import Kept
from agent.errors import RequestInvalid
from agent.intake.callbacks import callback_fields
from agent.intake.values import listed, shown
from agent.models import (
    PARENT,
    REQUEST,
    Context,
    RequestData,
    Status,
    Step,
    Template,
    WaitReason,
    clamp_priority,
    new_id,
    step_id,
)
from agent.store.retention import retention_fields

COMPLETE_WITHIN = timedelta(minutes=10)
"""A parent whose children are not all stored by then fails."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all contexts of a request have in common.

    Args:
        due: since when its first steps may run.
        retention: how long it is kept once it is final, its children with it.
    """

    priority: int
    now: datetime
    due: datetime
    deadline_at: datetime | None
    tags: Any
    metadata: Any
    source: str
    max_attempts: Callable[[Step], int]
    retention: Kept | None = None


def parent_of(
    steps: Sequence[Step],
    request: RequestData,
    terms: Terms,
    *,
    template_id: str,
    template_version: str,
    id: str | None = None,
    callback_url: str | None = None,
) -> Context:
    """The parent: open from the beginning, and never claimed."""
    complete_by = terms.now + COMPLETE_WITHIN
    progress = dict.fromkeys(("processed", "succeeded", "failed", "cancelled"), 0)
    more: dict[str, Any] = {
        "total": len(steps),
        "steps": [step.key for step in steps],
        "incomplete_at": complete_by,
        "unsettled": {"at": complete_by},
        "results": {"progress": {"total": len(steps), **progress, "percentage": 0.0}},
        **callback_fields(callback_url),
        **retention_fields(terms.retention),
    }
    return Context(
        id=id or new_id("ctx"),
        kind=PARENT,
        service_type=REQUEST,
        status=Status.PROCESSING,
        template=Template(id=template_id, version=template_version, service_type=REQUEST),
        request=request,
        started_at=terms.now,
        **common(terms, terms.priority, terms.due),
        **more,
    )


def children_of(
    parent_id: str, steps: Sequence[Step], request: RequestData, terms: Terms
) -> list[Context]:
    """A context for each step, the last one first: what begins finds all that comes after it.

    Raises:
        RequestInvalid: the steps do not belong together; the message says why.
    """
    return [_child(parent_id, step, request, terms) for step in reversed(in_order(steps))]


def without_priorities(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of what is urgent: each has the priority of the whole, whatever it says."""
    return tuple(step.model_copy(update={"priority": None}) for step in steps)


def in_order(steps: Sequence[Step]) -> list[Step]:
    """The steps, each behind all that it comes after.

    Raises:
        RequestInvalid: two have one key, one comes after what there is not, or they go in a circle.
    """
    counts = Counter(step.key for step in steps)
    if twice := [shown(key) for key, count in counts.items() if count > 1]:
        raise RequestInvalid(f"several steps have the key {listed(twice)}")
    ordered: list[Step] = []
    done: set[str] = set()
    rest = list(steps)
    while rest:
        ready = [step for step in rest if done.issuperset(step.after)]
        if not ready:
            raise RequestInvalid(
                f"steps wait for each other, or for what is no step: "
                f"{listed([shown(step.key) for step in rest])}"
            )
        ordered += ready
        done.update(step.key for step in ready)
        rest = [step for step in rest if step.key not in done]
    return ordered


def _child(parent_id: str, step: Step, request: RequestData, terms: Terms) -> Context:
    due = terms.due
    status = Status.SCHEDULED if due > terms.now else Status.PENDING
    if step.after:
        status, due = Status.WAITING, terms.now
    more: dict[str, Any] = {} if step.on_failure == "cancel" else {"on_failure": step.on_failure}
    return Context(
        id=step_id(parent_id, step.key),
        service_type=step.template.service_type,
        status=status,
        wait_reason=WaitReason.DELAY if status is Status.SCHEDULED else None,
        template=step.template,
        request=request,
        parent_id=parent_id,
        step=step.key,
        after=[step_id(parent_id, key) for key in step.after],
        max_attempts=terms.max_attempts(step),
        **common(terms, step.priority or terms.priority, due),
        **more,
    )


def common(terms: Terms, priority: int, available_at: datetime) -> dict[str, Any]:
    """The fields that are alike in all contexts of a request."""
    return {
        "priority": clamp_priority(priority),
        "tags": {} if terms.tags is None else terms.tags,
        "metadata": {} if terms.metadata is None else terms.metadata,
        "source": terms.source,
        "created_at": terms.now,
        "updated_at": terms.now,
        "available_at": available_at,
        "deadline_at": terms.deadline_at,
    }
