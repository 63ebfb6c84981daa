"""`/dashboard/live`: one stream for each open page, which says that there may be something new.

What is new the page then asks for by its own address, so no stream shows what its page would not.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from agent.dashboard.house import House
from agent.dashboard.pages import HOME

PATH = f"{HOME}/live"
EVENT = "changed"
RECONNECT_MS = 1000
LONGEST_SECONDS = 600.0
"""Of one stream: whoever comes again is asked again who they are."""


def live_router(house: House) -> APIRouter:
    """The route."""
    router = APIRouter()
    nudges = house.doors.nudges
    nudges.before_telling(house.look.forget)

    def visitor(request: Request) -> str:
        name: str = request.state.caller.name
        if not nudges.has_room_for(name):
            raise HTTPException(503, "Too many pages are open; this one looks by itself.")
        return name

    @router.get(PATH, response_class=EventSourceResponse)
    async def live(
        turn: Annotated[int, Query()] = -1,
        who: str = Depends(visitor),
    ) -> AsyncIterator[ServerSentEvent]:
        ends_at = time.monotonic() + LONGEST_SECONDS
        async with nudges.listening(who, turn) as listener:
            yield ServerSentEvent(retry=RECONNECT_MS, comment="listening")
            while not nudges.closing and (left := ends_at - time.monotonic()) > 0:
                if await listener.wait(left) and not nudges.closing:
                    await nudges.pace()
                    yield ServerSentEvent(event=EVENT, data=nudges.turn)

    return router
