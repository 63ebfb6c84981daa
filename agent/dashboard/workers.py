"""`/dashboard/workers`: which processes live, and what each runs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.house import House
from agent.dashboard.look import silent
from agent.dashboard.pages import HOME
from agent.errors import BrokerUnavailable
from agent.projections.presence import LIVE, Presence

MOST_RUNNING = 50
"""Contexts of one process that are listed."""
MOST_WORKERS = 100


def workers_router(house: House) -> APIRouter:
    """The route."""
    router = APIRouter()
    presence = Presence(house.client, house.settings.namespace)

    @router.get(f"{HOME}/workers")
    def workers(request: Request) -> Response:
        try:
            known = presence.all()
        except BrokerUnavailable:
            return house.pages.render(request, "workers.html", is_away=True, living=[], gone=[])
        living = [each for each in known if each.beat_age_seconds <= LIVE.total_seconds()]
        living.sort(key=lambda each: (each.host, each.pid, each.worker_id))
        return house.pages.render(
            request, "workers.html", is_away=False, living=living, gone=silent(known, living),
            most_running=MOST_RUNNING, most=MOST_WORKERS,
        )  # fmt: skip

    return router
