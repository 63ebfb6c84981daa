"""`/dashboard/contexts`: search, page by page."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agent.api.paging import cursor_after, read_cursor
from agent.dashboard.asked import given, link, read_query
from agent.dashboard.house import House
from agent.dashboard.pages import HOME
from agent.dashboard.words import id_path
from agent.errors import ContextNotFound, RequestInvalid
from agent.models import Document, Status
from agent.store.listing import WINDOW

PATH = f"{HOME}/contexts"
FILTERS = ("service", "status", "tag", "template", "user", "error", "kind", "since", "until")


def contexts_router(house: House) -> APIRouter:
    """The route."""
    router = APIRouter()
    repository = house.repository

    @router.get(PATH)
    def contexts(request: Request) -> Response:
        params = request.query_params
        found: list[Document] = []
        wrong, following = None, None
        if id_ := params.get("id", "").strip():
            try:
                return RedirectResponse(f"{PATH}/{id_path(house.doors.id_of(id_))}", 303)
            except (ContextNotFound, RequestInvalid):
                wrong = "There is no context of this id."
        asked, now = given(params, (*FILTERS, "cursor")), repository.now()
        filters = {name: value for name, value in asked.items() if name != "cursor"}
        try:
            query = read_query(asked, now)
            after = read_cursor(query.cursor) if query.cursor is not None else None
            selection = query.selection(house.settings.registry)
            found, place = repository.search(selection, limit=query.limit, after=after)
            following = link(PATH, filters, cursor=cursor_after(*place)) if place else None
        except RequestInvalid as exc:
            wrong = str(exc)
        return house.pages.render(
            request, "contexts.html", 400 if wrong else 200, found=found, asked=filters,
            id=id_, wrong=wrong, following=following, now=now, first=link(PATH, filters),
            is_first="cursor" not in asked, window=WINDOW, statuses=list(Status),
            services=[*house.settings.registry],
        )  # fmt: skip

    return router
