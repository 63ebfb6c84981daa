"""`/dashboard`: how it is going, and what is wrong."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.house import House
from agent.dashboard.look import troubles
from agent.dashboard.pages import HOME


def overview_router(house: House) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.get(HOME)
    def overview(request: Request) -> Response:
        seen = house.look()
        return house.pages.render(
            request, "overview.html", look=seen, troubles=list(troubles(seen)), now=seen.now
        )

    return router
