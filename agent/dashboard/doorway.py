"""The way from `web` into the dashboard: by the beginning of a path."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from agent.dashboard.pages import HOME


class Doorway:
    """Sends whoever asks for a page to the dashboard, and everybody else on."""

    def __init__(self, app: ASGIApp, dashboard: ASGIApp) -> None:
        self._app = app
        self._dashboard = dashboard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        is_page = path == HOME or path.startswith(f"{HOME}/")
        await (self._dashboard if is_page else self._app)(scope, receive, send)
