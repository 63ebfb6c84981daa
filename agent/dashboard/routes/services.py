"""`/dashboard/services`: what each may do and has to do, how it answered, and its pause."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.admission.gate import Bound
from agent.dashboard.asked import minutes_of
from agent.dashboard.house import House, needed_reason
from agent.dashboard.pages import HOME, told
from agent.dashboard.pictures.histogram import HEIGHT
from agent.dashboard.seen.last_hour import LastHour
from agent.dashboard.seen.look import url_shown
from agent.errors import BrokerUnavailable, RequestInvalid
from agent.projections.bridges import Bridges
from agent.services import ServiceType
from agent.store.services import OPERATOR

PATH = f"{HOME}/services"


def services_router(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PATH)
    repository, last_hour = house.repository, LastHour(house)
    bridges = Bridges(house.client, house.settings.namespace)

    @router.get("")
    def services(request: Request) -> Response:
        seen = house.look()
        return house.pages.render(
            request, "services.html", look=seen, now=seen.now, url_shown=url_shown,
            last_hour=last_hour(), bounds=_bounds(bridges), height=HEIGHT,
        )  # fmt: skip

    @router.post("/{name}/pause")
    def pause(request: Request, name: str) -> Response:
        service, reason = _service(house, name), needed_reason(request)
        length = minutes_of(request.state.form.get("minutes", ""))
        until = None if length is None else repository.now() + length
        said = f"{reason} ({request.state.caller.name})"
        with house.written_down(request, "pause service", service.name):
            repository.pause_service(service.name, by=OPERATOR, reason=said, until=until)
        house.changed()
        return told(request, PATH, f"{service.name} is paused. Its contexts wait; none fails.")

    @router.post("/{name}/resume")
    def resume(request: Request, name: str) -> Response:
        service = _service(house, name)
        with house.written_down(request, "resume service", service.name) as done:
            done.count = int(repository.resume_service(service.name))
        house.changed()
        said = f"{service.name} is open again." if done.count else f"{service.name} was not paused."
        return told(request, PATH, said)

    return router


def _bounds(bridges: Bridges) -> dict[str, str]:
    """By service, what the leading bridge found to keep more of it from starting."""
    try:
        leading = [each for each in bridges.all() if each.leads and each.is_alive]
    except BrokerUnavailable:
        return {}
    found = leading[-1].bounds if leading else {}
    return {name: bound for name, bound in found.items() if bound != Bound.NONE}


def _service(house: House, name: str) -> ServiceType:
    found = house.settings.registry.find(name)
    if found is None:
        raise RequestInvalid(f"Services are {', '.join(house.settings.registry)}.")
    return found
