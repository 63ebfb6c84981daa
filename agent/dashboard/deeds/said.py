"""What can be done to many contexts, in words: before, while and after it is done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from agent.dashboard.pages import Undo
from agent.dashboard.words import number
from agent.projections.deeds import DeedState
from agent.store.spread import Spread
from agent.words import span

UNDO = "undo-"
"""How the kinds begin that take back another one."""


class Kind(NamedTuple):
    """What can be done.

    Args:
        title: of the page that asks, and of the one that shows how far it is.
        button: of the former.
        one, many: what becomes of one context, and of many.
        done: what stands in the audit.
        undo: what taking it back does; None where that cannot be.
    """

    title: str
    button: str
    one: str
    many: str
    done: str
    undo: str | None = None


KINDS: Mapping[str, Kind] = {
    "run-now": Kind("Retry now", "Retry now", "is tried again at once", "are tried again at once",
                    "retry now", "Undo: wait again"),
    "postpone": Kind("Postpone", "Postpone", "waits until another time",
                     "wait until another time", "postpone", "Undo: back to the earlier time"),
    "cancel": Kind("Cancel", "Yes, cancel", "is cancelled", "are cancelled", "cancel",
                   "Undo: begin anew at the time they had"),
    "retry": Kind("Retry", "Retry", "begins anew", "begin anew", "retry"),
    "undo-run-now": Kind("Undo retry now", "Undo", "waits again until the time it had",
                         "wait again until the time they had", "undo retry now"),
    "undo-postpone": Kind("Undo postpone", "Undo", "has its earlier time back",
                          "have their earlier time back", "undo postpone"),
    "undo-cancel": Kind("Undo cancel", "Undo",
                        "begins anew at the time it had, its failures counted from 0",
                        "begin anew at the time they had, their failures counted from 0",
                        "undo cancel"),
}  # fmt: skip


def kind_of(state: DeedState) -> Kind:
    """The kind of a deed."""
    return KINDS[state.told["kind"]]


def said(state: DeedState) -> str:
    """What has come of it."""
    kind, count = kind_of(state), state.changed
    told = f"{number(count)} {kind.one if count == 1 else kind.many}"
    if count and (rate := state.told.get("rate")):
        told += f", {rate_words(count, Spread(datetime.fromisoformat(rate[0]), rate[1]))}"
    told += "."
    if state.moved_on:
        told += f" {number(state.moved_on)} had gone on meanwhile"
        told += ", or must have begun before then." if kind is KINDS["postpone"] else "."
    if state.refused:
        told += f" MongoDB refused to change {number(state.refused)}, which are full."
    if state.unsure:
        told += f" Of {number(state.unsure)} more it is not known: a process ended midway."
    if state.left:
        told += f" Stopped: {number(state.left)} were left as they are."
    if more := state.told.get("more"):
        told += f" {number(more)} more match: do it again for them."
    return told


def rate_words(count: int, spread: Spread) -> str:
    """`60 a minute: about 20 min`."""
    return f"{number(spread.per_minute)} a minute: about {span(spread.lasts(count))}"


def undo_of(state: DeedState) -> Undo | None:
    """How a deed is taken back, if it can be."""
    says = kind_of(state).undo
    is_done = state.is_over and bool(state.changed or state.unsure)
    can = is_done and state.noted and not state.is_undone
    return Undo(state.id, says) if says and can else None


def in_short(state: DeedState, path: str) -> Mapping[str, Any]:
    """A deed in a line: what was done lately, and what is not finished.

    Args:
        path: of the page that goes on with it.
    """
    undo, kind = undo_of(state), kind_of(state)
    return {
        "id": state.id, "who": state.told["who"], "on": state.told["on"], "done": kind.done,
        "at": datetime.fromtimestamp(state.told["at"], UTC), "changed": state.changed,
        "place": state.place, "total": state.total, "path": None if state.is_over else path,
        "undo": undo.says if undo is not None else None,
    }  # fmt: skip
