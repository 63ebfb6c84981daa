"""`/dashboard/retries`: what is to be tried again, read from Redis alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.asked import PAGE, given, link
from agent.dashboard.deeds.doer import Doer
from agent.dashboard.deeds.routes import deeds_router, lately
from agent.dashboard.house import House
from agent.dashboard.routes.retry_acts import acts_router
from agent.dashboard.routes.retry_choice import FILTERS, PATH, filter_of
from agent.errors import RequestInvalid
from agent.projections.view_pages import RetriesView, Sort, ViewPage

SORTS: dict[str, Sort] = {each: each for each in get_args(Sort)}


def retries_router(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter()
    view = RetriesView(house.client, house.settings.namespace)
    doer = Doer.of(house, view)
    router.include_router(acts_router(house, view, doer))
    router.include_router(deeds_router(house, doer))

    @router.get(PATH)
    def retries(request: Request) -> Response:
        asked = given(request.query_params, (*FILTERS, "sort", "cursor"))
        kept = {name: value for name, value in asked.items() if name != "cursor"}
        wrong, page = None, None
        try:
            page = _page(view, asked)
        except RequestInvalid as exc:
            wrong = str(exc)
        following = page.next if page is not None else None
        return house.pages.render(
            request, "retries.html", 400 if wrong else 200, page=page, asked=kept,
            filters=given(asked, (*FILTERS,)), sort=asked.get("sort", view.FIRST), wrong=wrong,
            now=house.redis_now(), first=link(PATH, kept), is_first="cursor" not in asked,
            following=link(PATH, kept, cursor=following) if following else None,
            services=[*house.settings.registry], link=link, here_path=PATH, deeds=lately(doer),
        )  # fmt: skip

    return router


def _page(view: RetriesView, asked: Mapping[str, str]) -> ViewPage:
    sort = asked.get("sort", view.FIRST)
    if sort not in SORTS:
        raise RequestInvalid(f"The order is one of {', '.join(SORTS)}.")
    return view.page(SORTS[sort], filter_of(asked), cursor=asked.get("cursor"), limit=PAGE)
