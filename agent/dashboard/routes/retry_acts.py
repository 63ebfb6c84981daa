"""`/dashboard/retries/change`: retry now, postpone, cancel, once somebody has seen how many."""

from __future__ import annotations

import json
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.asked import given, link, minutes_of
from agent.dashboard.deeds.doer import Doer
from agent.dashboard.deeds.routes import after
from agent.dashboard.deeds.said import KINDS
from agent.dashboard.house import House, needed_reason
from agent.dashboard.routes.retry_choice import FILTERS, MOST_AT_ONCE, PATH, Choice
from agent.errors import RequestInvalid
from agent.projections.view_pages import RetriesView

ACTS = ("run-now", "postpone", "cancel")
SHOWN = 10
"""Ids that the question shows."""


def acts_router(house: House, view: RetriesView, doer: Doer) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get(f"{PATH}/change")
    def confirm(request: Request) -> Response:
        params = request.query_params
        what, filters = _what(params.get("what", "")), given(params, (*FILTERS,))
        choice = Choice.asked(params.getlist("id"), params.get("scope", ""), filters)
        words = choice.words(view)
        return house.pages.render(
            request, "retries_change.html", what=what, act=KINDS[what], count=len(words),
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
        until = _until(house, form.get("minutes", "")) if what == "postpone" else None
        state = doer.begin(
            request, what, choice.says(), words, back=link(PATH, choice.filters),
            until=until.isoformat() if until is not None else None,
            more=len(matching) - len(words),
        )  # fmt: skip
        return after(request, state)

    return router


def _until(house: House, minutes: str) -> datetime:
    """Until when it is postponed."""
    length = minutes_of(minutes)
    if length is None:
        raise RequestInvalid("Say for how many minutes, from 1 to 99999.")
    return house.repository.now() + length


def _what(word: str) -> str:
    if word not in ACTS:
        raise RequestInvalid(f"What can be done is {', '.join(ACTS)}.")
    return word


def _confirmed(word: str) -> int:
    if not word.isdecimal() or len(word) > 9:
        raise RequestInvalid("The question is missing that says how many; begin at the list.")
    return int(word)
