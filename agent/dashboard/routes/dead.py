"""`/dashboard/dead`: what failed, by kind; and all of a kind, or all, begun anew after a fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agent.dashboard.asked import given, link, read_query
from agent.dashboard.deeds.doer import Doer
from agent.dashboard.deeds.routes import after, lately
from agent.dashboard.deeds.said import rate_words
from agent.dashboard.deeds.work import selection_to
from agent.dashboard.house import House, needed_reason
from agent.dashboard.pages import HOME
from agent.dashboard.pictures.trend import HEIGHT, WIDTH, trend_of
from agent.dashboard.routes.retry_choice import MOST_AT_ONCE
from agent.dashboard.words import number
from agent.errors import RequestInvalid
from agent.store.audit import LONGEST_REASON
from agent.store.dead_letters import COUNTED
from agent.store.ejson import encode_id
from agent.store.selection import Selection
from agent.store.spread import Spread
from agent.words import moment

PATH = f"{HOME}/dead"
FIELDS = ("service", "kind", "since", "scope")
RATE = re.compile(r"[0-9]{1,6}")
EXAMPLES = (60, 600)
"""Of rates."""


def dead_router(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PATH)
    repository, registry = house.repository, house.settings.registry
    doer = Doer.of(house)

    @router.get("")
    def dead(request: Request) -> Response:
        asked = given(request.query_params, ("service", "since"))
        query = read_query(asked, repository.now())
        service = query.selection(registry).service_type
        found = repository.dead_letters(service_type=service, since=query.since)
        return house.pages.render(
            request, "dead.html", found=found, asked=asked, now=repository.now(),
            services=[*registry], link=link, trend_of=trend_of, TREND_HEIGHT=HEIGHT,
            TREND_WIDTH=WIDTH, deeds=lately(doer),
        )  # fmt: skip

    @router.get("/retry")
    def confirm(request: Request) -> Response:
        asked = given(request.query_params, FIELDS)
        until = _until(house, request.query_params) or repository.now()
        selection = _selection(house, asked, until=until)
        count = repository.count_retriable(selection, up_to=COUNTED)
        rate = _rate(request.query_params, until)
        reason = request.query_params.get("reason", "")[:LONGEST_REASON]
        return house.pages.render(
            request, "dead_retry.html", count=count, asked=asked, until=selection.until,
            since=selection.since, most=MOST_AT_ONCE, says=_says(selection), up_to=COUNTED,
            rate=rate.per_minute if rate is not None else None, reason=reason,
            takes=_takes(rate, min(count, MOST_AT_ONCE)) if rate is not None else None,
            such_as=[_takes(Spread(until, each), min(count, MOST_AT_ONCE)) for each in EXAMPLES],
        )  # fmt: skip

    @router.post("/retry")
    def retry(request: Request) -> Response:
        form = request.state.form
        selection = _selection(
            house, given(form, FIELDS), until=_until(house, form) or repository.now()
        )
        reason, rate = needed_reason(request), _rate(form, repository.now())
        if rate is not None and form.get("seen") != str(rate.per_minute):
            asked = given(form, (*FIELDS, "until", "rate"))
            return RedirectResponse(link(f"{PATH}/retry", asked, reason=reason), 303)
        what = "retry all of a kind" if selection.kind else "retry all that failed"
        ids = repository.retriable_ids(selection, limit=MOST_AT_ONCE)
        left = 0
        if len(ids) == MOST_AT_ONCE:
            left = repository.count_retriable(selection, up_to=COUNTED) - len(ids)
        says = _says(selection)
        state = doer.begin(
            request, "retry", f"{says}, {rate.per_minute} a minute" if rate is not None else says,
            [encode_id(each) for each in ids], back=PATH, done=what, more=max(left, 0),
            selection=selection_to(selection),
            rate=None if rate is None else [rate.begins_at.isoformat(), rate.per_minute],
        )  # fmt: skip
        return after(request, state)

    return router


def _selection(house: House, asked: Mapping[str, str], *, until: datetime | None) -> Selection:
    """What is meant: all of a kind, or, where that is said, all that failed."""
    if "kind" not in asked and asked.get("scope") != "all":
        raise RequestInvalid("Choose a kind from the list of dead letters, or all of them.")
    words = {name: asked[name] for name in ("service", "kind", "since") if name in asked}
    selection = read_query(words, house.repository.now()).selection(house.settings.registry)
    return replace(selection, until=until)


def _says(selection: Selection) -> str:
    """The selection in words, for the question and the audit."""
    told = selection.service_type or "any service"
    if selection.kind:
        told += f", kind {selection.kind}"
    if selection.since is not None:
        told += f", since {moment(selection.since)}"
    return told


def _until(house: House, asked: Mapping[str, str]) -> datetime | None:
    return read_query(given(asked, ("until",)), house.repository.now()).until


def _rate(asked: Mapping[str, str], now: datetime) -> Spread | None:
    """How many a minute; None where nothing is said.

    Raises:
        RequestInvalid: it is no number from 1 to 100,000.
    """
    word = given(asked, ("rate",)).get("rate")
    if word is None:
        return None
    return Spread(now, int(word) if RATE.fullmatch(word) else 0)


def _takes(rate: Spread, count: int) -> str:
    return f"{number(count)} at {rate_words(count, rate)}."
