"""`/dashboard/audit`: who did what, when, to how many, and why."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.api import keys
from agent.api.paging import read_cursor
from agent.dashboard.asked import PAGE, given, link, next_cursor
from agent.dashboard.house import House
from agent.dashboard.pages import HOME

PATH = f"{HOME}/audit"


def audit_router(house: House) -> APIRouter:
    """The route."""
    router = APIRouter()
    repository = house.repository

    @router.get(PATH)
    def audit(request: Request) -> Response:
        asked = given(request.query_params, ("who", "cursor"))
        after = read_cursor(asked["cursor"]) if "cursor" in asked else None
        found = repository.page_of_audit(limit=PAGE, who=asked.get("who"), after=after)
        filters = {"who": asked["who"]} if "who" in asked else {}
        cursor = next_cursor(found, by="at")
        return house.pages.render(
            request, "audit.html", found=found, asked=filters,
            following=link(PATH, filters, cursor=cursor) if cursor else None,
            is_first=after is None, first=link(PATH, filters),
            shows_address=keys.Scope.ADMIN in request.state.caller.scopes,
        )  # fmt: skip

    return router
