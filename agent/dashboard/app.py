"""The dashboard, put together from its pages."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agent.api.doors import Doors
from agent.dashboard.assets import assets_router
from agent.dashboard.entry.guard import Guard
from agent.dashboard.entry.login_limit import LoginLimit
from agent.dashboard.entry.sessions import Sessions
from agent.dashboard.entry.sign_in import sign_in_router
from agent.dashboard.entry.users import read_users
from agent.dashboard.house import House
from agent.dashboard.pages import HOME, Pages, Place
from agent.dashboard.routes.audit import audit_router
from agent.dashboard.routes.bridge import bridge_router
from agent.dashboard.routes.context import context_router
from agent.dashboard.routes.contexts import contexts_router
from agent.dashboard.routes.dead import dead_router
from agent.dashboard.routes.live import live_router
from agent.dashboard.routes.overview import overview_router
from agent.dashboard.routes.requests import requests_router
from agent.dashboard.routes.retries import retries_router
from agent.dashboard.routes.schedules import schedules_router
from agent.dashboard.routes.services import services_router
from agent.dashboard.routes.workers import workers_router
from agent.errors import (
    AgentError,
    BrokerUnavailable,
    ContextNotFound,
    IllegalTransition,
    ScheduleNotFound,
    StillInProgress,
    StoreUnavailable,
)
from agent.logs import get_logger, mask_secrets
from agent.settings import Settings

PLACES = (
    Place(HOME, "Overview"),
    Place(f"{HOME}/services", "Services"),
    Place(f"{HOME}/workers", "Workers"),
    Place(f"{HOME}/bridge", "Bridge"),
    Place(f"{HOME}/contexts", "Contexts"),
    Place(f"{HOME}/requests", "Requests"),
    Place(f"{HOME}/schedules", "Schedules"),
    Place(f"{HOME}/retries", "Retries"),
    Place(f"{HOME}/dead", "Dead letters"),
    Place(f"{HOME}/audit", "Audit"),
)
STATUSES: Mapping[type[AgentError], int] = {
    ContextNotFound: 404, ScheduleNotFound: 404, IllegalTransition: 409, StillInProgress: 409,
    StoreUnavailable: 503, BrokerUnavailable: 503,
}  # fmt: skip
"""Any other error of ours says what is wrong with what was asked."""
AWAY = "A server that is needed does not answer. Nothing is lost; load the page again in a moment."

log = get_logger()


def create_dashboard(settings: Settings, doors: Doors) -> FastAPI:
    """The application that serves all pages.

    Raises:
        ConfigurationError: a user cannot be read.
    """
    users, sessions = read_users(settings), Sessions.of(settings)
    pages = Pages(PLACES, settings.namespace)
    house = House.of(doors, pages)
    app = FastAPI(title="dashboard", docs_url=None, redoc_url=None, openapi_url=None,
                  redirect_slashes=False)  # fmt: skip
    app.include_router(assets_router())
    app.include_router(live_router(house))
    app.include_router(sign_in_router(users, sessions, pages, LoginLimit()))
    for router in (overview_router, services_router, workers_router, bridge_router,
                   contexts_router, context_router, requests_router, schedules_router,
                   retries_router, dead_router, audit_router):  # fmt: skip
        app.include_router(router(house))
    _tell_errors(app, pages)
    app.add_middleware(Guard, settings=settings, users=users, sessions=sessions, pages=pages,
                       turn=lambda: doors.nudges.turn)  # fmt: skip
    return app


def _tell_errors(app: FastAPI, pages: Pages) -> None:
    async def ours(request: Request, exc: Exception) -> Response:
        status = next((code for kind, code in STATUSES.items() if isinstance(exc, kind)), 400)
        if status == 503:
            log.warning("dashboard.unavailable", path=request.url.path, error=str(exc))
        said = AWAY if status == 503 else mask_secrets(str(exc))
        return pages.error(request, status, said)

    async def http(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        if not hasattr(request.state, "session"):  # a file, or a body that was too large
            return Response(status_code=exc.status_code)
        said = "There is no such page." if exc.status_code == 404 else str(exc.detail)
        return pages.error(request, exc.status_code, said)

    async def invalid(request: Request, _exc: Exception) -> Response:
        return pages.error(request, 400, "The address of this page says something that it cannot.")

    async def bug(request: Request, exc: Exception) -> Response:
        log.error("dashboard.bug", path=request.url.path, error=f"{type(exc).__name__}: {exc}",
                  exc_info=exc)  # fmt: skip
        if not hasattr(request.state, "session"):
            return Response(status_code=500)
        return pages.error(request, 500, "This is a mistake of ours; the log of `web` has it.")

    app.add_exception_handler(AgentError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, bug)
