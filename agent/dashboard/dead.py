"""`/dashboard/dead`: what failed, by kind; and all of a kind, or all, begun anew after a fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.asked import given, link, read_query
from agent.dashboard.house import House, needed_reason
from agent.dashboard.pages import HOME, told
from agent.dashboard.words import number
from agent.errors import RequestInvalid
from agent.store.bulk import COUNTED
from agent.store.selection import Selection
from agent.words import moment

PATH = f"{HOME}/dead"
FIELDS = ("service", "kind", "since", "scope")
MOST_AT_ONCE = 5_000
"""Begun anew by one press: whoever presses waits for it."""


def dead_router(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PATH)
    repository, registry = house.repository, house.settings.registry

    @router.get("")
    def dead(request: Request) -> Response:
        asked = given(request.query_params, ("service", "since"))
        query = read_query(asked, repository.now())
        service = query.selection(registry).service_type
        found = repository.dead_letters(service_type=service, since=query.since)
        return house.pages.render(
            request, "dead.html", found=found, asked=asked, now=repository.now(),
            services=[*registry], link=link,
        )  # fmt: skip

    @router.get("/retry")
    def confirm(request: Request) -> Response:
        asked = given(request.query_params, FIELDS)
        selection = _selection(house, asked, until=repository.now())
        count = repository.count_retriable(selection)
        return house.pages.render(
            request, "dead_retry.html", count=count, asked=asked, until=selection.until,
            since=selection.since, most=MOST_AT_ONCE, says=_says(selection), up_to=COUNTED,
        )  # fmt: skip

    @router.post("/retry")
    def retry(request: Request) -> Response:
        form = request.state.form
        until = read_query({"until": form.get("until", "")}, repository.now()).until
        selection = _selection(house, given(form, FIELDS), until=until)
        needed_reason(request)
        what = "retry all of a kind" if selection.kind else "retry all that failed"
        with house.written_down(request, what, _says(selection)) as done:
            progress = repository.retry_matching(selection, limit=MOST_AT_ONCE)
            done.count = progress.changed
        house.doors.bell.ring("foreign")
        left = repository.count_retriable(selection) if progress.changed >= MOST_AT_ONCE else 0
        said = f"{number(progress.changed)} begin anew."
        if progress.moved_on:
            said += f" {number(progress.moved_on)} had been changed by somebody else meanwhile."
        if progress.refused:
            said += f" MongoDB refused to change {number(progress.refused)}, which are full."
        if left:
            said += f" {number(left)} are left: do it again."
        return told(request, PATH, said, well=not progress.refused)

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
