"""One piece of a change of many contexts: what the repository is asked, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from agent.dashboard.deeds.said import UNDO
from agent.projections.deeds import DeedState
from agent.store.bulk import Progress
from agent.store.chosen import OnChange
from agent.store.ejson import decode_id
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import Selection
from agent.store.spread import Spread
from agent.store.undone import Before

SOON = timedelta(minutes=3)
"""After a piece was begun: little has been done, has failed and waits again by then."""
LATE = timedelta(seconds=5)
"""By which what is spread in time may be behind: no longer than a press or two."""


def work(
    repository: MongoContextRepository, state: DeedState, items: Sequence[str], note: OnChange
) -> Progress:
    """Change a piece.

    Args:
        items: as the deed has them.
        note: told how those were that are about to be changed.

    Raises:
        RequestInvalid: what was asked for cannot be done, or not any more.
        StoreUnavailable: MongoDB did not answer. The piece may be done again.
    """
    told = state.told
    kind, until = told["kind"], moment_of(told.get("until"))
    if kind.startswith(UNDO):
        return _undo(repository, kind, until, [Before.of_json(each) for each in items])
    read = [json.loads(each) for each in items]
    if kind == "retry":
        ids, selection = [decode_id(each) for each in read], selection_of(told["selection"])
        return repository.retry_ids(ids, selection, spread=_spread(state), place=state.place)
    if kind == "postpone" and until is not None:
        return repository.postpone_chosen(read, until, note)
    if kind == "run-now":
        return repository.run_chosen_now(read, note)
    return repository.cancel_chosen(read, note)


def _undo(
    repository: MongoContextRepository, kind: str, until: datetime | None, before: Sequence[Before]
) -> Progress:
    if kind == "undo-run-now":
        return repository.undo_run_now(before)
    if kind == "undo-postpone" and until is not None:
        return repository.undo_postpone(before, until)
    return repository.undo_cancel(before)


def may_be_done_again(state: DeedState, now: float) -> bool:
    """Whether a piece that was left open, if there is one, is simply done once more: what was
    changed meanwhile is told from what was meant. A retry that was let run is not, once it waits
    again, so that holds for a short time only."""
    kind = state.told["kind"]
    is_told = kind == "retry" or kind.startswith(UNDO)
    return not state.open_piece or is_told or now - state.opened_at < SOON.total_seconds()


def passed_over(state: DeedState) -> DeedState:
    """The same behind the piece that was left open: what came of that is not known."""
    lost = state.open_piece
    return replace(state, place=state.place + lost, unsure=state.unsure + lost, open_piece=0)


def counted(state: DeedState, count: int, progress: Progress) -> DeedState:
    """The same after a piece. In one that was left open it is not known what had gone on, and what
    was done by whoever left it."""
    lost = count - progress.changed - progress.refused
    again = bool(state.open_piece)
    return replace(
        state,
        place=state.place + count,
        changed=state.changed + progress.changed,
        refused=state.refused + progress.refused,
        moved_on=state.moved_on + (0 if again else lost),
        unsure=state.unsure + (lost if again else 0),
        open_piece=0,
    )


def caught_up(state: DeedState, now: datetime) -> DeedState:
    """The same; where it has stood still for a while, later by that: those whose turn was missed
    meanwhile do not begin all at once."""
    spread = _spread(state)
    if spread is None:
        return state
    behind = now - spread.at(state.place)
    return state if behind < LATE else replace(state, late=state.late + int(behind.total_seconds()))


def _spread(state: DeedState) -> Spread | None:
    rate = state.told.get("rate")
    if not rate:
        return None
    begins_at = datetime.fromisoformat(rate[0]) + timedelta(seconds=state.late)
    return Spread(begins_at, rate[1])


def selection_to(selection: Selection) -> Mapping[str, str]:
    """What of a selection the page of dead letters can say, as JSON."""
    told = {"service_type": selection.service_type, "kind": selection.kind,
            "since": _iso(selection.since), "until": _iso(selection.until)}  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def selection_of(told: Mapping[str, str]) -> Selection:
    """The selection that `selection_to` was given."""
    return Selection(
        service_type=told.get("service_type"),
        kind=told.get("kind"),
        since=moment_of(told.get("since")),
        until=moment_of(told.get("until")),
    )


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def moment_of(word: str | None) -> datetime | None:
    """A time that was written as ISO 8601, if one was."""
    return None if word is None else datetime.fromisoformat(word)
