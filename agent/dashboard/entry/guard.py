"""Who may see which page and change what: looked at before any page is, so that none forgets."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api import keys
from agent.api.keys import ANYBODY, Caller
from agent.api.security import is_local
from agent.dashboard.entry.forms import read_form
from agent.dashboard.entry.sessions import Session, Sessions
from agent.dashboard.entry.users import Users
from agent.dashboard.pages import HOME, LOGIN, Pages
from agent.errors import RequestInvalid
from agent.settings import Settings
from agent.store.cost import Cost, counted

STATIC = f"{HOME}/static/"
FREE = frozenset({LOGIN})
"""Pages for whoever has not signed in yet."""
CSRF_FIELD = "csrf"
READING = frozenset({"GET", "HEAD"})
COST_HEADER = "Agent-Cost"
"""Commands of MongoDB that a page has cost: an open page waits the longer before it looks again."""
ALWAYS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every reply. Without a referrer to itself a form would send the origin `null`."""


class Guard:
    """Around all pages.

    Args:
        turn: how often open pages were told of changes; kept with a page as it was before.
    """

    def __init__(
        self, app: ASGIApp, *, settings: Settings, users: Users, sessions: Sessions, pages: Pages,
        turn: Callable[[], int],
    ) -> None:  # fmt: skip
        self._app = app
        self._users = users
        self._sessions = sessions
        self._pages = pages
        self._turn = turn
        self._is_open = not users and settings.env == "development"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(STATIC):
            await self._app(scope, receive, _with_headers(send))
            return
        request = Request(scope, receive)
        found = self._sessions.read(request.cookies.get(self._sessions.cookie))
        session = found or self._sessions.begin()
        before = replace(session) if found is not None else None
        state = scope.setdefault("state", {})
        state.update(session=session, caller=self._caller(request, session), form={},
                     is_open=self._is_open, turn=self._turn())  # fmt: skip
        refusal = await self._refusal(request)

        def cookie() -> str | None:
            now: Session = state["session"]
            return self._sessions.header(now) if now != before else None

        with counted() as cost:
            await (refusal or self._app)(scope, receive, _with_headers(send, cookie, cost))

    def _caller(self, request: Request, session: Session) -> Caller | None:
        """Who asks, as the settings have them now; None if they have to sign in."""
        if self._is_open:
            return ANYBODY if _is_here(request) else None
        user = self._users.get(session.name or "")
        return user.caller if user is not None and user.print == session.print else None

    async def _refusal(self, request: Request) -> Response | None:
        """Why it may not come in; None if it may."""
        caller: Caller | None = request.state.caller
        if self._is_open and caller is None:
            return self._no(request, "Without users this page is for the machine it runs on, "
                            "as localhost. AGENT_DASHBOARD_USERS opens it to others.")  # fmt: skip
        if not self._is_open and not self._users:
            return self._no(request, "Nobody can sign in: set AGENT_DASHBOARD_USERS and "
                            "AGENT_SECRET_KEY, and start again.")  # fmt: skip
        if caller is None and request.scope["path"] not in FREE:
            return _to_login(request)
        if request.method not in READING:
            return await self._refused_change(request, caller)
        return None

    async def _refused_change(self, request: Request, caller: Caller | None) -> Response | None:
        if not _is_of_our_pages(request):
            return self._no(request, "This change did not come from a page of the dashboard. If a "
                            "proxy is in between, it has to pass the Host header on.")  # fmt: skip
        try:
            form = await read_form(request)
        except RequestInvalid as exc:
            return self._pages.error(request, 400, str(exc))
        if not hmac.compare_digest(
            form.get(CSRF_FIELD, "").encode(), request.state.session.csrf.encode()
        ):
            return self._no(request, "This page was too old. Go back, load it again, and try once "
                            "more.")  # fmt: skip
        if caller is not None and not self._may_change(request, caller):
            return self._no(request, f"{caller.name} may look, and change nothing. Somebody with "
                            "the role operator or admin may.")  # fmt: skip
        request.state.form = form
        return None

    def _may_change(self, request: Request, caller: Caller) -> bool:
        own = request.scope["path"].startswith(LOGIN) or request.scope["path"] == f"{HOME}/logout"
        return own or keys.Scope.OPERATE in caller.scopes

    def _no(self, request: Request, why: str) -> Response:
        return self._pages.error(request, 403, why)


def _is_here(request: Request) -> bool:
    return is_local(request.scope, request.headers.get("host", "").encode("latin-1"))


def _is_of_our_pages(request: Request) -> bool:
    """Browsers say with every change which page it comes from; what does not say it is no browser
    that we know."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin", "")
    site = request.headers.get("sec-fetch-site", "same-origin")
    try:
        named = urlsplit(origin)
    except ValueError:
        return False
    same = named.scheme in ("http", "https") and named.netloc.lower() == host.lower()
    return bool(host) and same and site == "same-origin"


def _to_login(request: Request) -> Response:
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Refresh": "true"})
    path = request.scope["path"] if request.method in READING else HOME
    query = f"?{request.url.query}" if request.url.query and path != HOME else ""
    return RedirectResponse(f"{LOGIN}?next={quote(path + query, safe='/')}", 303)


def _with_headers(
    send: Send, cookie: Callable[[], str | None] | None = None, cost: Cost | None = None
) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ALWAYS.items():
                headers.setdefault(name, value)
            if cost is not None:
                headers[COST_HEADER] = str(cost.commands)
            if cookie is not None:
                headers.setdefault("Cache-Control", "no-store")
                if (line := cookie()) is not None:
                    headers.append("Set-Cookie", line)
        await send(message)

    return sending
