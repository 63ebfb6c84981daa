"""`/dashboard/retries/change`: retry now, postpone, cancel, once somebody has seen how many."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Literal, NamedTuple, cast

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.asked import given, link, minutes_of
from agent.dashboard.house import House, needed_reason
from agent.dashboard.pages import told
from agent.dashboard.retry_choice import FILTERS, MOST_AT_ONCE, PATH, Choice
from agent.dashboard.words import number
from agent.errors import BrokerUnavailable, RequestInvalid
from agent.projections.doorbell import VIEWS
from agent.projections.view_pages import RetriesView
from agent.store.bulk import Progress

What = Literal["run-now", "postpone", "cancel"]


class Act(NamedTuple):
    """What can be done, in words: on the page that asks, and when it is done."""

    title: str
    button: str
    one: str
    many: str
    done: str


ACTS: dict[str, Act] = {
    "run-now": Act("Retry now", "Retry now", "is tried again at once", "are tried again at once",
                   "retry now"),
    "postpone": Act("Postpone", "Postpone", "waits until another time", "wait until another time",
                    "postpone"),
    "cancel": Act("Cancel", "Yes, cancel", "is cancelled", "are cancelled", "cancel"),
}  # fmt: skip
SHOWN = 10
"""Ids that the question shows."""


def acts_router(house: House, view: RetriesView) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get(f"{PATH}/change")
    def confirm(request: Request) -> Response:
        params = request.query_params
        what, filters = _what(params.get("what", "")), given(params, (*FILTERS,))
        choice = Choice.asked(params.getlist("id"), params.get("scope", ""), filters)
        words = choice.words(view)
        return house.pages.render(
            request, "retries_change.html", what=what, act=ACTS[what], count=len(words),
            ids=None if choice.ids is None else json.dumps(choice.ids), shown=words[:SHOWN],
            filters=filters, back=link(PATH, filters), most=MOST_AT_ONCE, path=PATH,
            is_all=choice.ids is not None or view.page(limit=1).is_exact,
        )  # fmt: skip

    @router.post(f"{PATH}/change")
    def change(request: Request) -> Response:
        form = request.state.form
        what, choice = _what(form.get("what", "")), Choice.confirmed(form)
        if choice.ids is None:
            needed_reason(request)
        matching = choice.words(view)
        # no more than the question said: what came later nobody has thought about
        words = matching[: min(_confirmed(form.get("count", "")), MOST_AT_ONCE)]
        until = _until(house, what, form.get("minutes", ""))
        with house.written_down(request, ACTS[what].done, choice.says()) as done:
            progress = _do(house, what, words, until)
            done.count = progress.changed
        _show(view, words, until)
        house.doors.bell.ring()
        house.doors.bell.ring("settle")
        house.doors.bell.ring(VIEWS)
        said = _said(what, progress, left=len(matching) - len(words))
        return told(request, link(PATH, choice.filters), said, well=not progress.refused)

    return router


def _until(house: House, what: What, minutes: str) -> datetime | None:
    """Until when it is postponed, if it is."""
    if what != "postpone":
        return None
    length = minutes_of(minutes)
    if length is None:
        raise RequestInvalid("Say for how many minutes, from 1 to 99999.")
    return house.repository.now() + length


def _do(house: House, what: What, words: Sequence[str], until: datetime | None) -> Progress:
    repository = house.repository
    if until is not None:
        return repository.postpone_chosen(words, until)
    if what == "run-now":
        return repository.run_chosen_now(words)
    return repository.cancel_chosen(words)


def _show(view: RetriesView, words: Sequence[str], until: datetime | None) -> None:
    """Have the list show it at once; where Redis is away by now the bridge does that later."""
    with suppress(BrokerUnavailable):
        if until is None:
            view.remove(words)
        else:
            view.move(words, until)


def _said(what: What, progress: Progress, *, left: int) -> str:
    act = ACTS[what]
    said = f"{number(progress.changed)} {act.one if progress.changed == 1 else act.many}."
    if progress.moved_on:
        said += f" {number(progress.moved_on)} had gone on meanwhile"
        said += ", or must have begun before then." if what == "postpone" else "."
    if progress.refused:
        said += f" MongoDB refused to change {number(progress.refused)}, which are full."
    if left:
        said += f" {number(left)} more match: do it again for them."
    if what == "cancel" and progress.changed:
        said += " What was cancelled can be retried from its own page."
    return said


def _what(word: str) -> What:
    if word not in ACTS:
        raise RequestInvalid(f"What can be done is {', '.join(ACTS)}.")
    return cast(What, word)


def _confirmed(word: str) -> int:
    if not word.isdecimal() or len(word) > 9:
        raise RequestInvalid("The question is missing that says how many; begin at the list.")
    return int(word)
