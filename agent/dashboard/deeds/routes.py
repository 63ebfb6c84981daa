"""How far a change of many contexts is, and its way back: pages that go on by themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agent.dashboard.deeds.doer import Doer
from agent.dashboard.deeds.said import in_short, kind_of, said, undo_of
from agent.dashboard.house import House
from agent.dashboard.pages import HOME, told
from agent.errors import BrokerUnavailable, RequestInvalid, StoreUnavailable
from agent.projections.deeds import DeedState

RETRIES, DEAD = f"{HOME}/retries", f"{HOME}/dead"
DEED_ID = re.compile(r"aud_[0-9A-Z]{26}")
AWAY = "MongoDB does not answer; it is tried again."
BUSY = "Another process is at it, or has died in it; then it goes on within two minutes."
GONE = ("What was still to be done is not known any more. The audit tells whether it was finished; "
        "what is left can be chosen anew.")  # fmt: skip


def deeds_router(house: House, doer: Doer) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get(f"{RETRIES}/deeds/{{deed_id}}")
    @router.get(f"{DEAD}/deeds/{{deed_id}}")
    def look(request: Request, deed_id: str) -> Response:
        state = _find(doer, deed_id)
        return _gone(request) if state is None else shown(house, request, state)

    @router.post(f"{RETRIES}/deeds/{{deed_id}}")
    @router.post(f"{DEAD}/deeds/{{deed_id}}")
    def go_on(request: Request, deed_id: str) -> Response:
        is_part, state = "hx-request" in request.headers, None
        try:
            state = _find(doer, deed_id)
            if state is None:
                return _gone(request)
            act = doer.stop if request.state.form.get("what") == "stop" else doer.go_on
            place, state = state.place, act(state)
        except BrokerUnavailable:
            if is_part:  # the page stays as it is
                return Response(status_code=204)
            raise
        except StoreUnavailable:
            if is_part and state is not None:
                return shown(house, request, state, 503, waits=AWAY)
            raise
        if state.is_over or not is_part:
            return after(request, state)
        return shown(house, request, state, waits=BUSY if state.place == place else None)

    @router.post(f"{RETRIES}/undo")
    def undo(request: Request) -> Response:
        deed_id = request.state.form.get("deed", "")
        try:
            state = doer.take_back(request, deed_id if DEED_ID.fullmatch(deed_id) else "none")
        except RequestInvalid as exc:
            return told(request, RETRIES, str(exc), well=False)
        return after(request, state)

    return router


def after(request: Request, state: DeedState) -> Response:
    """Where somebody goes who has pressed: back, if it is over, else to how far it is."""
    if not state.is_over:
        return RedirectResponse(path_of(state), 303)
    well = not state.refused and not state.unsure
    return told(request, state.told["back"], said(state), well=well, undo=undo_of(state))


def path_of(state: DeedState) -> str:
    """The page that shows how far it is."""
    return f"{DEAD if state.told['kind'] == 'retry' else RETRIES}/deeds/{state.id}"


def shown(
    house: House, request: Request, state: DeedState, status: int = 200, *, waits: str | None = None
) -> Response:
    """The page that shows how far it is, and goes on.

    Args:
        waits: why it does not get any further now.
    """
    if state.is_over:
        return after(request, state)
    return house.pages.render(
        request, "deed.html", status, state=state, kind=kind_of(state), path=path_of(state),
        waits=waits, back=state.told["back"],
    )  # fmt: skip


def lately(doer: Doer) -> Sequence[Mapping[str, Any]]:
    """What is not finished, and what can be taken back; nothing while Redis is away."""
    try:
        found = doer.deeds.newest()
    except BrokerUnavailable:
        return []
    return [in_short(each, path_of(each)) for each in found if not each.is_over or undo_of(each)]


def _find(doer: Doer, deed_id: str) -> DeedState | None:
    return doer.deeds.find(deed_id) if DEED_ID.fullmatch(deed_id) else None


def _gone(request: Request) -> Response:
    path = DEAD if request.url.path.startswith(DEAD) else RETRIES
    return told(request, path, GONE, well=False)
