"""`/dashboard/bridge`: which one leads."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.house import House
from agent.dashboard.pages import HOME


def bridge_router(house: House) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.get(f"{HOME}/bridge")
    def bridge(request: Request) -> Response:
        leader = house.repository.leader()
        return house.pages.render(
            request, "bridge.html", leader=leader, now=house.repository.now(), look=house.look()
        )

    return router
