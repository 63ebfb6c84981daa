"""Every guarded write of parents, and of steps that wait for others: pure, from the tables.

Each write of a parent asks for the fence that was read before its children were, and raises it
(docs/spec/README.md, "The rule for settle").
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from agent.models import (
    PARENT,
    PARENT_TRANSITIONS,
    TRANSITIONS,
    Change,
    Document,
    ErrorRecord,
    ParentChange,
    Status,
)
from agent.store.changes import Write, cancel, guard, with_kind
from agent.store.ends import with_end
from agent.store.marks import is_child, marked

BY_SETTLE = "settle"
"""In `cancelled_by` of a step that was cancelled because one before it failed."""

_VERDICTS: Mapping[Status, ParentChange] = {
    Status.COMPLETED: ParentChange.COMPLETE,
    Status.FAILED: ParentChange.FAIL,
    Status.CANCELLED: ParentChange.CANCEL,
}


# Steps


def unblock(now: datetime, step_id: Any) -> Write:
    """All that it waited for is there."""
    return _moved(Change.UNBLOCK, now, step_id, available_at=now)


def cancel_step(now: datetime, step_id: Any) -> Write:
    """A step before it failed or was cancelled."""
    write = _moved(Change.CANCEL, now, step_id, completed_at=now, cancelled_by=BY_SETTLE)
    return marked(write._replace(filter={"_id": step_id, "status": str(Status.WAITING)}), now)


def block_again(now: datetime, step_id: Any) -> Write:
    """No step before it is failed or cancelled any more."""
    write = _moved(Change.BLOCK_AGAIN, now, step_id, completed_at=None)
    filter = {**write.filter, "cancelled_by": BY_SETTLE}
    update = {**write.update, "$unset": {"cancelled_by": "", "expire_at": ""}}
    return marked(Write(filter, update), now, reopens=True)


def cancel_requests(now: datetime, ids: list[Any], *, fence: int | None = None) -> Write:
    """With the whole: those of these that are requests of several steps, and open. Settle cancels
    their steps."""
    # what one of them has to tell the whole stays in its mark
    update = {"updated_at": now, "cancelling": True, "unsettled.at": now}
    open_ = {"_id": {"$in": ids}, "kind": PARENT, "status": str(Status.PROCESSING)}
    open_ |= not_begun_since(fence)
    return Write(open_, {"$set": update, "$unset": {"retrying": ""}, "$inc": {"fence": 1}})


def cancel_children(
    now: datetime, status: Status, ids: list[Any], *, fence: int | None = None
) -> Write:
    """With the whole: those of these that still have that status. Its parent is looked at anyway,
    so they need no marks.

    Args:
        fence: of the parent when it was seen to be cancelled.
    """
    write = cancel(now, {"$in": ids}, only=status)
    return write._replace(filter={**write.filter, **not_begun_since(fence)})


def not_begun_since(fence: int | None) -> Document:
    """What no retry of the whole has begun anew since its parent had that fence: whoever comes late
    with a cancellation undoes no retry that came after it."""
    return {} if fence is None else {"round": {"$not": {"$gt": fence}}}


def _moved(change: Change, now: datetime, step_id: Any, **fields: Any) -> Write:
    target = str(TRANSITIONS[change].target)
    return Write(
        {"_id": step_id, **guard(change)}, {"$set": {"status": target, "updated_at": now, **fields}}
    )


def unmark(step_id: Any, token: Any) -> Write:
    """Take away the mark that was seen, and no later one."""
    return Write({"_id": step_id, "unsettled.token": {"$eq": token}}, {"$unset": {"unsettled": ""}})


def unmark_reopening(step_id: Any, token: Any) -> Write:
    """Its parent is open again; what else its mark says is still to be done."""
    return Write(
        {"_id": step_id, "unsettled.token": {"$eq": token}}, {"$unset": {"unsettled.reopens": ""}}
    )


# Parents


def note(now: datetime, parent: Document, *, look_at: datetime, **fields: Any) -> Write:
    """Something has been counted, or is to be at that time."""
    open_ = guard_parent(parent, Status.PROCESSING)
    return _written(open_, now, {"unsettled": _still(parent, look_at), **fields}, {})


def leave(now: datetime, parent: Document) -> Write:
    """A final parent that nothing is to be done about."""
    return _written({"_id": parent["_id"], "fence": parent["fence"]}, now, {}, {"unsettled": ""})


def verdict(
    now: datetime,
    parent: Document,
    status: Status,
    *,
    progress: Document,
    error: ErrorRecord | None = None,
    keep: timedelta | None = None,
) -> Write:
    """All its children are there and final."""
    change = _VERDICTS[status]
    source = next(iter(PARENT_TRANSITIONS[change].sources))
    fields: Document = {
        "status": str(PARENT_TRANSITIONS[change].target),
        "completed_at": now,
        "results.progress": progress,
    }
    unset = {"retrying": ""}
    if is_child(parent):
        fields["unsettled"] = {**_still(parent, now), "token": uuid4().hex, "tells": True}
    elif keep is not None:  # its children are to be kept as long
        fields["unsettled"] = {"at": now}
    else:
        unset["unsettled"] = ""
    if error is not None:
        fields["error"] = with_kind(error)
    else:
        unset["error"] = ""
    if keep is not None:
        fields["expire_at"] = now + keep
    return with_end(parent, _written(guard_parent(parent, source), now, fields, unset), now)


def reopen(now: datetime, parent: Document, **fields: Any) -> Write:
    """A child was begun anew. One that is open stays as it is, but for its fence."""
    is_open = parent.get("status") == Status.PROCESSING
    mark = _still(parent, now)
    if is_child(parent) and not is_open:
        mark |= {"token": uuid4().hex, "reopens": True}
    write = _written(
        {"_id": parent["_id"], "fence": parent["fence"]},
        now,
        {"status": str(PARENT_TRANSITIONS[ParentChange.REOPEN].target),
         "unsettled": mark, **fields},
        {},
    )  # fmt: skip
    if is_open:
        return write
    unset = dict.fromkeys(("error", "expire_at", "cancelling"), "")
    update = {**write.update, "$unset": unset}
    update["$set"] = {**update["$set"], "completed_at": None}
    return write._replace(update=update)


def ask_to_cancel(now: datetime, parent: Document) -> Write:
    """From now on nothing of it begins; settle cancels what is left."""
    return _written(
        guard_parent(parent, Status.PROCESSING),
        now,
        {"cancelling": True, "unsettled": _still(parent, now)},
        {"retrying": ""},
    )


def ask_to_retry(now: datetime, parent: Document, *, fresh_key: bool | None) -> Write:
    """Open again; settle begins anew what is failed or cancelled, each child once in this round:
    the round is told by the fence, since a time would depend on two clocks."""
    asked = {"round": parent["fence"] + 1, "fresh_key": fresh_key}
    return reopen(now, parent, retrying=asked)


def of_round(write: Write, round_: int) -> Write:
    """The retry of a child, as part of that of its parent: what fails again is left alone."""
    update = {**write.update, "$set": {**write.update["$set"], "round": round_}}
    return write._replace(update=update)


def retried(now: datetime, parent: Document) -> Write:
    """All has been begun anew that was to be."""
    open_ = guard_parent(parent, Status.PROCESSING)
    return _written(open_, now, {"unsettled": _still(parent, now)}, {"retrying": ""})


def guard_parent(parent: Document, status: Status) -> Document:
    """The filter of a write that follows from what was read of a parent."""
    return {"_id": parent["_id"], "kind": PARENT, "fence": parent["fence"], "status": str(status)}


def _still(parent: Document, at: datetime) -> Document:
    """When to look at a parent; what it has to tell its batch stays until that was done."""
    mark = parent.get("unsettled")
    if is_child(parent) and isinstance(mark, dict) and mark.get("reopens"):
        # an end that its batch has not heard of is none any more, or is told anew
        return {name: value for name, value in mark.items() if name != "tells"} | {"at": at}
    return {"at": at}


def _written(filter: Document, now: datetime, fields: Document, unset: Document) -> Write:
    update: Document = {"$set": {"updated_at": now, **fields}, "$inc": {"fence": 1}}
    if unset:
        update["$unset"] = unset
    return Write(filter, update)
