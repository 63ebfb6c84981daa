"""Ends of requests that somebody is to be told of: what the write of an end leaves. Pure.

What is asked for with a `callback_url` carries `callbacks`, too: how many `ends` it has had. The
write of an end counts it and leaves it under `due`, so that whoever writes may die right after it.
An end has its number by that count, whatever happens before somebody looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.models import FINAL, Document

if TYPE_CHECKING:
    from agent.store.changes import Write

COUNTED: Document = {"callbacks.ends": {"$type": ["int", "long"]}}
"""Only what was asked for with a `callback_url` has this; a field of that name that another program
wrote is left alone."""


class End(NamedTuple):
    """One end of a request.

    Args:
        number: counted from 1.
    """

    number: int
    status: str
    at: datetime


def counted(document: Mapping[str, Any]) -> int | None:
    """How many ends it has had; None where nobody is to be told of them."""
    callbacks = document.get("callbacks")
    ends = callbacks.get("ends") if isinstance(callbacks, Mapping) else None
    return ends if isinstance(ends, int) and not isinstance(ends, bool) else None


def with_end(document: Mapping[str, Any], write: Write, now: datetime) -> Write:
    """The same write; with its end, if it is one that somebody is to be told of."""
    is_end = write.update.get("$set", {}).get("status") in FINAL
    return write if counted(document) is None or not is_end else ended(write, now)


def ended(write: Write, now: datetime) -> Write:
    """The same write of a final status, with its end."""
    update = write.update
    end = {"status": update["$set"]["status"], "at": now}
    return write._replace(
        update={
            **update,
            "$set": {**update["$set"], "callbacks.at": now},
            "$inc": {**update.get("$inc", {}), "callbacks.ends": 1},
            "$push": {**update.get("$push", {}), "callbacks.due": end},
        }
    )


def ends_due(document: Mapping[str, Any]) -> list[End]:
    """The ends of which no delivery may be stored yet, in order."""
    ends = counted(document)
    due = document["callbacks"].get("due") if ends is not None else None
    if ends is None or not isinstance(due, list):
        return []
    numbered = enumerate(due, ends - len(due) + 1)
    return [
        End(number, str(each["status"]), each["at"])
        for number, each in numbered
        if isinstance(each, Mapping)
        and each.get("status") in FINAL
        and isinstance(each.get("at"), datetime)
    ]
