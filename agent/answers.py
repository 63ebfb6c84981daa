"""From stored documents to what is told of them, by the API and in webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from agent.models import FINAL, PARENT, REQUEST, Document, Status
from agent.rendering import rendered
from agent.store.ejson import encode_id
from agent.store.parents import Parents, in_template_order

ONLY = "only"
"""The key of the one step of a request that is one context."""
MOST_RESULTS = 50
"""Steps whose results are told with their request."""
ABOUT = ("priority", "tags", "metadata", "source", "created_at", "updated_at", "available_at",
         "deadline_at", "started_at", "completed_at", "expire_at")  # fmt: skip
OF_REQUEST = ("text", "user_id", "purpose_id", "selection")


def is_parent(document: Mapping[str, Any]) -> bool:
    return document.get("kind") == PARENT


def read_answer(repository: Parents, document: Document) -> Document:
    """What has become of a request, with its steps and what they brought.

    Raises:
        StoreUnavailable: MongoDB did not answer.
    """
    if not is_parent(document) or document.get("service_type") != REQUEST:
        return request_answer(document)
    children = repository.children_of(document["_id"])
    results: dict[str, Any] = {}
    if len(children) <= MOST_RESULTS:
        results = repository.results_of([each["_id"] for each in children])
    return request_answer(document, children, results)


def request_answer(
    document: Document, steps: Sequence[Document] = (), results: Mapping[str, Any] | None = None
) -> Document:
    """What has become of a request.

    Args:
        document: its context, or the parent of its steps.
        steps: the children of a parent.
        results: what those brought that are completed, by their keys.
    """
    whole = is_parent(document)
    children = in_template_order(document, steps) if whole else [{**document, "step": ONLY}]
    template, request = _object(document, "template"), _object(document, "request")
    return {
        "id": rendered_id(document["_id"]),
        "status": str(document.get("status")),
        "results": (results or None) if whole else document.get("results"),
        "error": error_of(document),
        "steps": [step_answer(each) for each in children],
        "progress": progress_of(document),
        "template": {"id": template.get("id"), "version": template.get("version")},
        **{name: request.get(name) for name in OF_REQUEST},
        **{name: document.get(name) for name in ABOUT},
    }


def batch_answer(batch: Document, now: datetime) -> Document:
    """What has become of a batch."""
    told = request_answer(batch)
    del told["steps"], told["results"]
    return {
        **told,
        "progress": batch_progress(batch, now),
        "rejected": batch.get("rejected") or {"count": 0, "rows": []},
        "is_expanding": "expanding" in batch,
    }


def batch_progress(batch: Document, now: datetime) -> Document:
    """How far it is, how fast, and when it is through if it goes on like that."""
    counted = progress_of(batch)
    start, end = batch.get("started_at"), batch.get("completed_at")
    is_final = batch.get("status") in FINAL
    processed, total = counted.get("processed") or 0, counted.get("total") or 0
    rate: float | None = None
    estimated: datetime | None = None
    if isinstance(start, datetime) and processed:
        until = end if is_final and isinstance(end, datetime) else now
        rate = processed / max((until - start) / timedelta(seconds=1), 0.001)
        if not is_final:
            estimated = _later(now, max(total - processed, 0) / rate)
    told = None if rate is None else round(rate, 3)
    return {**counted, "rate": told, "estimated_end_at": estimated}


def _later(now: datetime, seconds: float) -> datetime | None:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return None


def step_answer(step: Document) -> Document:
    return {
        "key": str(step.get("step")),
        "id": rendered_id(step["_id"]),
        "status": str(step.get("status")),
        "service": _text(step.get("service_type")),
        "attempt": _number(step.get("attempt")),
        "error": error_of(step),
        "started_at": step.get("started_at"),
        "completed_at": step.get("completed_at"),
    }


def progress_of(document: Document) -> Document:
    """How far it is: what settle counted, or whether its one context is final."""
    counted = _object(_object(document, "results"), "progress") if is_parent(document) else {}
    if counted:
        return counted
    status = document.get("status")
    final = int(status in FINAL)
    return {
        "total": 1, "processed": final, "succeeded": int(status == Status.COMPLETED),
        "failed": int(status == Status.FAILED), "cancelled": int(status == Status.CANCELLED),
        "percentage": 100.0 * final,
    }  # fmt: skip


def error_of(document: Document) -> Document | None:
    """Its error, whatever another program may have left there."""
    error = document.get("error")
    if not isinstance(error, dict):
        return None
    told = {name: _text(error.get(name)) for name in ("type", "message")}
    return {**error, **told}


def context_answer(document: Document) -> Document:
    """A context with its `_id` as `id`."""
    return {"id": rendered_id(document["_id"]),
            **{name: value for name, value in document.items() if name != "_id"}}  # fmt: skip


def rendered_id(context_id: Any) -> Any:
    """A string, else extended JSON: also of a date, so that it is found again."""
    return encode_id(context_id)


def state_answer(state: Document, *, key: str | None = None) -> Document:
    """What is told of a context to those who listen."""
    return {
        "id": rendered_id(state["_id"]),
        "key": key,
        "status": str(state.get("status")),
        "attempt": _number(state.get("attempt")),
        "progress": progress_of(state),
        "error": error_of(state),
        "updated_at": rendered(state.get("updated_at")),
    }


def _object(document: Mapping[str, Any], name: str) -> Document:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, int) else None
