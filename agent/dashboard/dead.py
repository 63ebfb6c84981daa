"""`/dashboard/dead`: what failed, by kind; and all of a kind begun anew after a fix."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.asked import given, link, read_query
from agent.dashboard.house import House, needed_reason
from agent.dashboard.pages import HOME, told
from agent.dashboard.words import number
from agent.errors import RequestInvalid
from agent.store.selection import Selection

PATH = f"{HOME}/dead"
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
        asked = given(request.query_params, ("service", "kind"))
        selection = _selection(asked.get("service"), asked.get("kind"), until=repository.now())
        count = repository.count_retriable(selection)
        return house.pages.render(
            request, "dead_retry.html", count=count, asked=asked, until=selection.until,
            most=MOST_AT_ONCE,
        )  # fmt: skip

    @router.post("/retry")
    def retry(request: Request) -> Response:
        form = request.state.form
        until = read_query({"until": form.get("until", "")}, repository.now()).until
        selection = _selection(form.get("service"), form.get("kind"), until=until)
        on = f"{selection.service_type}, kind {selection.kind}"
        needed_reason(request)
        with house.written_down(request, "retry all of a kind", on) as done:
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


def _selection(service: str | None, kind: str | None, *, until: datetime | None) -> Selection:
    if not service or not kind:
        raise RequestInvalid("Choose a kind from the list of dead letters.")
    return Selection(service_type=service, kind=kind, until=until)
