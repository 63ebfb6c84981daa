"""Marks: what the write of a child leaves behind, so that settle looks at it and its parent.

A mark is part of the write itself, so that whoever writes may die right after it. Its token is of
that write alone: settle takes away the mark that it has seen, and no later one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from agent.store.ends import with_end

if TYPE_CHECKING:
    from agent.store.changes import Write


def is_child(document: Mapping[str, Any]) -> bool:
    """Whether it is part of a request of several steps, or of a batch."""
    return isinstance(document.get("parent_id"), str)


def is_step(document: Mapping[str, Any]) -> bool:
    """Whether it is a child that waits for others."""
    after = document.get("after")
    return is_child(document) and isinstance(after, list) and bool(after)


def left_by(
    document: Mapping[str, Any],
    write: Write,
    now: datetime,
    *,
    token: str | None = None,
    reopens: bool = False,
) -> Write:
    """The same write: of a child with a mark, of others with their end if somebody is told of it.

    Args:
        token: of this write alone; one is drawn when there is none.
        reopens: the child leaves a final status, so its parent has to be opened again. That stays
            until settle has done it, whatever is written meanwhile.
    """
    if is_child(document):
        return marked(write, now, token=token, reopens=reopens)
    return with_end(document, write, now)


def marked(
    write: Write, now: datetime, *, token: str | None = None, reopens: bool = False
) -> Write:
    """The same write, with a mark."""
    mark: dict[str, Any] = {"unsettled.at": now, "unsettled.token": token or uuid4().hex}
    if reopens:
        mark["unsettled.reopens"] = True
    update = write.update
    return write._replace(update={**update, "$set": {**update.get("$set", {}), **mark}})
