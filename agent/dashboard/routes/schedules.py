"""`/dashboard/schedules`: requests that come again and again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard import words
from agent.dashboard.asked import link
from agent.dashboard.house import House
from agent.dashboard.pages import HOME, told
from agent.errors import RequestInvalid
from agent.intake.schedule import next_times
from agent.models import Document
from agent.projections.doorbell import SCHEDULES

PATH = f"{HOME}/schedules"
PAGE = 25
SHOWN_TIMES = 3


def schedules_router(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PATH)
    repository, schedules = house.repository, house.doors.schedules

    @router.get("")
    def listed(request: Request) -> Response:
        after = request.query_params.get("after", "")[:200]
        found = repository.list_schedules(PAGE, after=after, brief=True)
        now = repository.now()
        return house.pages.render(
            request, "schedules.html", found=[_shown(each, now) for each in found], now=now,
            following=link(PATH, {}, after=str(found[-1]["_id"])) if len(found) == PAGE else None,
            is_first=not after,
        )  # fmt: skip

    @router.post("/{name}/pause")
    def pause(request: Request, name: str) -> Response:
        with house.written_down(request, "pause schedule", name):
            schedules.pause(name)
        return told(request, PATH, f"{name} is paused.")

    @router.post("/{name}/resume")
    def resume(request: Request, name: str) -> Response:
        with house.written_down(request, "resume schedule", name):
            schedules.resume(name)
        house.doors.bell.ring(SCHEDULES)
        return told(request, PATH, f"{name} is due again. What was due meanwhile is left out.")

    @router.post("/{name}/run")
    def run(request: Request, name: str) -> Response:
        with house.written_down(request, "run schedule", name):
            context_id = schedules.run_now(name)
        house.doors.bell.ring()
        return told(request, PATH, f"{name} was run once: {context_id}")

    return router


def _shown(stored: Document, now: datetime) -> dict[str, Any]:
    """A schedule as the page has it; what cannot be read says so."""
    try:
        times, error = next_times(stored, now, SHOWN_TIMES), stored.get("last_error")
    except RequestInvalid as exc:
        times, error = [], str(exc)
    ids = stored.get("last_ids")
    return {
        "name": str(stored["_id"]), "rule": _rule(stored), "times": times, "error": error,
        "paused": bool(stored.get("paused")), "fired": stored.get("fired", 0),
        "last_at": stored.get("last_fired_at"), "next_at": stored.get("next_at"),
        "last_id": ids[-1] if isinstance(ids, list) and ids else None,
    }  # fmt: skip


def _rule(stored: Mapping[str, Any]) -> str:
    if isinstance(stored.get("cron"), str):
        return f"{stored['cron']} ({stored.get('timezone')})"
    every = stored.get("every_seconds")
    return f"every {words.seconds(every)}" if isinstance(every, int | float) else "?"
