"""Signing in and out."""

from __future__ import annotations

import math
import re

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agent.dashboard.entry.login_limit import LoginLimit, address_of
from agent.dashboard.entry.passwords import LONGEST, is_right
from agent.dashboard.entry.sessions import Sessions
from agent.dashboard.entry.users import Users
from agent.dashboard.pages import HOME, LOGIN, Pages
from agent.logs import get_logger

LONGEST_NAME = 64
_INSIDE = re.compile(r"/dashboard(?:[/?][\x21-\x5b\x5d-\x7e]*)?")

log = get_logger()


def asking_address(request: Request) -> str:
    """Where a request comes from."""
    peer = request.client.host if request.client is not None else None
    return address_of(peer, request.headers.getlist("x-forwarded-for"))


def sign_in_router(users: Users, sessions: Sessions, pages: Pages, limit: LoginLimit) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get(LOGIN)
    def ask(request: Request, next: str = HOME) -> Response:
        if request.state.caller is not None:
            return RedirectResponse(_inside(next), 303)
        return _form(request, next)

    @router.post(LOGIN)
    def sign_in(request: Request) -> Response:
        form = request.state.form
        name, password = form.get("name", "")[:LONGEST_NAME], form.get("password", "")[:LONGEST]
        following, address = form.get("next", HOME), asking_address(request)
        seconds = limit.take(name, address)
        if seconds > 0:
            log.warning("dashboard.login_limited", address=address)
            wait = max(1, math.ceil(seconds / 60))
            said = f"Too many tries. Come again in {wait} minute{'s' if wait > 1 else ''}."
            return _form(request, following, said, 429)
        user = users.get(name)
        if not is_right(password, user.hash if user is not None else None) or user is None:
            log.warning("dashboard.login_refused", address=address)
            return _form(request, following, "Name or password is wrong.", 403)
        limit.forgive(name)
        request.state.session = sessions.begin(user.name, user.print)
        log.info("dashboard.login", user=user.name, address=address)
        return RedirectResponse(_inside(following), 303)

    @router.post(f"{HOME}/logout")
    def sign_out(request: Request) -> Response:
        request.state.session = sessions.begin()
        return RedirectResponse(LOGIN, 303)

    def _form(
        request: Request, following: str, said: str | None = None, status: int = 200
    ) -> Response:
        return pages.render(
            request, "login.html", status, next=_inside(following), said=said,
            name=request.state.form.get("name", "")[:LONGEST_NAME],
        )  # fmt: skip

    return router


def _inside(path: str) -> str:
    """The page of ours that somebody wanted; what leads elsewhere is not followed."""
    return path if _INSIDE.fullmatch(path) else HOME
