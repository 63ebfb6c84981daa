"""`/dashboard/retries`: what is to be tried again, read from Redis alone."""

from __future__ import annotations

from typing import get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.asked import PAGE, given, link
from agent.dashboard.house import House
from agent.dashboard.pages import HOME
from agent.errors import RequestInvalid
from agent.projections.view_pages import RetriesView, Sort, ViewFilter, ViewPage

PATH = f"{HOME}/retries"
FILTERS = {"service": "service", "error": "error_type", "template": "template", "tag": "tag",
           "reason": "reason"}  # fmt: skip
SORTS: dict[str, Sort] = {each: each for each in get_args(Sort)}


def retries_router(house: House) -> APIRouter:
    """The route."""
    router = APIRouter()
    view = RetriesView(house.client, house.settings.namespace)

    @router.get(PATH)
    def retries(request: Request) -> Response:
        asked = given(request.query_params, (*FILTERS, "sort", "cursor"))
        filters = {name: value for name, value in asked.items() if name != "cursor"}
        wrong, page = None, None
        try:
            page = _page(view, asked)
        except RequestInvalid as exc:
            wrong = str(exc)
        following = page.next if page is not None else None
        return house.pages.render(
            request, "retries.html", 400 if wrong else 200, page=page, asked=filters,
            sort=asked.get("sort", view.FIRST), wrong=wrong, now=house.repository.now(),
            following=link(PATH, filters, cursor=following) if following else None,
            first=link(PATH, filters), is_first="cursor" not in asked,
            services=[*house.settings.registry],
        )  # fmt: skip

    return router


def _page(view: RetriesView, asked: dict[str, str]) -> ViewPage:
    sort = asked.get("sort", view.FIRST)
    if sort not in SORTS:
        raise RequestInvalid(f"The order is one of {', '.join(SORTS)}.")
    filter = ViewFilter(**{field: asked.get(name) for name, field in FILTERS.items()})
    return view.page(SORTS[sort], filter, cursor=asked.get("cursor"), limit=PAGE)
