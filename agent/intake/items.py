"""The items of a batch: from what its parent says and a row, the contexts of one item. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agent.durations import Kept
from agent.intake.callbacks import callback_fields
from agent.intake.families import Terms, children_of, common, parent_of, without_priorities
from agent.intake.values import as_date, is_urgent
from agent.models import (
    BATCH,
    DEFAULT_MAX_ATTEMPTS,
    HIGHEST_PRIORITY,
    Context,
    Document,
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


@dataclass(frozen=True, slots=True)
class ItemTerms:
    """What all items of a batch have in common, as it stands in `batch` of the parent.

    Args:
        request: what a row's data go into.
        steps: of the template, with their limits of attempts.
        due: since when they may run; None at once.
    """

    template_id: str
    template_version: str
    steps: tuple[Step, ...]
    request: dict[str, Any]
    priority: int
    due: datetime | None
    deadline_at: datetime | None
    tags: Any
    source: str

    def to_document(self) -> Document:
        """As it is stored."""
        return {
            "template_id": self.template_id,
            "template_version": self.template_version,
            "steps": [step.model_dump() for step in self.steps],
            "request": self.request,
            "priority": self.priority,
            "due": self.due,
            "deadline_at": self.deadline_at,
            "tags": self.tags,
            "source": self.source,
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> ItemTerms:
        """As they were stored.

        Raises:
            KeyError, TypeError, ValueError: another program has spoilt them.
        """
        return cls(
            template_id=stored["template_id"],
            template_version=stored["template_version"],
            steps=tuple(Step.model_validate(step) for step in stored["steps"]),
            request=dict(stored["request"]),
            priority=stored["priority"],
            due=as_date(stored["due"]),
            deadline_at=as_date(stored["deadline_at"]),
            tags=stored["tags"],
            source=stored["source"],
        )


def item_id(batch_id: str, row: int) -> str:
    """The id of an item: given by the batch and its row, and sorting as rows do."""
    return step_id(batch_id, f"{row:07d}")


def batch_parent(
    terms: ItemTerms,
    *,
    id: str,
    total: int,
    now: datetime,
    upload: str,
    chunks: int,
    rejected: Document,
    metadata: Any,
    callback_url: str | None = None,
    retention: Kept | None = None,
) -> Document:
    """The parent of a batch: open from the beginning, and expanded from now on."""
    progress = dict.fromkeys(("processed", "succeeded", "failed", "cancelled"), 0)
    parent = Context.model_validate(
        {
            "_id": id,
            "kind": "parent",
            "service_type": BATCH,
            "status": Status.PROCESSING,
            "template": Template(
                id=terms.template_id, version=terms.template_version, service_type=BATCH
            ),
            "request": RequestData.model_validate({**terms.request, "data": {}}),
            "priority": clamp_priority(terms.priority),
            "tags": terms.tags,
            "metadata": metadata,
            "source": terms.source,
            "created_at": now,
            "updated_at": now,
            "available_at": now,
            "deadline_at": terms.deadline_at,
            "started_at": now,
            "total": total,
            "unsettled": {"at": now},
            "results": {"progress": {"total": total, **progress, "percentage": 0.0}},
            "rejected": rejected,
            "batch": terms.to_document(),
            "expanding": {"at": now, "upload": upload, "next": 0, "chunks": chunks},
            **callback_fields(callback_url),
            **retention_fields(retention),
        }
    )
    # what is in flight is found by its time, which a parent does not have
    return {**parent.to_document(), "available_at": None}


def documents_of(
    batch_id: str,
    terms: ItemTerms,
    rows: Sequence[Mapping[str, Any]],
    now: datetime,
    *,
    held_back: bool = False,
) -> list[Document]:
    """The contexts of these rows; for rows of several steps their parents, too.

    Args:
        held_back: the batch is being cancelled: none of them may begin before settle cancels it.
    """
    making = _Making(batch_id, terms, now, held_back)
    return [document for row in rows for document in making.documents(row)]


class _Making:
    """Makes the items of a batch."""

    def __init__(self, batch_id: str, terms: ItemTerms, now: datetime, held_back: bool) -> None:
        self._batch_id = batch_id
        self._terms = terms
        self._held_back = held_back
        self._shared = Terms(
            priority=terms.priority, now=now, due=max(terms.due or now, now),
            deadline_at=terms.deadline_at, tags=terms.tags, metadata=None, source=terms.source,
            max_attempts=lambda step: step.max_attempts or DEFAULT_MAX_ATTEMPTS,
        )  # fmt: skip

    def documents(self, row: Mapping[str, Any]) -> list[Document]:
        """Of one row: the item first."""
        terms = self._terms
        of_row: Document = {"id": new_id("req"), "data": {**terms.request["data"], **row["data"]}}
        if "user_id" in row:
            of_row["user_id"] = row["user_id"]
        request = RequestData.model_validate({**terms.request, **of_row})
        shared, steps = self._shared, terms.steps
        if is_urgent(row):
            shared = replace(shared, priority=HIGHEST_PRIORITY)
            steps = without_priorities(steps)
        id = item_id(self._batch_id, row["row"])
        if len(steps) == 1:
            return [self._single(id, steps[0], request, shared)]
        return self._family(id, steps, request, shared)

    def _single(self, id: str, step: Step, request: RequestData, terms: Terms) -> Document:
        status = Status.SCHEDULED if terms.due > terms.now else Status.PENDING
        if self._held_back:
            status = Status.WAITING
        return Context(
            id=id,
            service_type=step.template.service_type,
            status=status,
            wait_reason=WaitReason.DELAY if status is Status.SCHEDULED else None,
            template=step.template,
            request=request,
            parent_id=self._batch_id,
            max_attempts=terms.max_attempts(step),
            **common(terms, step.priority or terms.priority, terms.due),
        ).to_document()

    def _family(
        self, id: str, steps: Sequence[Step], request: RequestData, terms: Terms
    ) -> list[Document]:
        """A request of several steps, which is an item of the batch as a whole."""
        template_id, version = self._terms.template_id, self._terms.template_version
        parent = parent_of(
            steps, request, terms, template_id=template_id, template_version=version, id=id
        )
        whole = {**parent.to_document(), "available_at": None, "parent_id": self._batch_id}
        parts = [child.to_document() for child in children_of(id, steps, request, terms)]
        if self._held_back:
            whole |= {"cancelling": True, "unsettled": {"at": terms.now}}
            for part in parts:
                part |= {"status": str(Status.WAITING), "wait_reason": None}
        return [whole, *parts]
