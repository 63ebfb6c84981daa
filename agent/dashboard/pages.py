"""From templates to replies: one environment that escapes everything, and what each page shares."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from agent.api import keys
from agent.api.keys import Caller
from agent.dashboard import words
from agent.dashboard.assets import asset_url

HOME = "/dashboard"
LOGIN = f"{HOME}/login"
TITLES = {400: "That does not work", 403: "Not for you", 404: "Not there",
          405: "That does not work", 409: "Not in this state", 503: "Not now",
          429: "Too often"}  # fmt: skip


class Place(NamedTuple):
    """A page in the menu."""

    path: str
    title: str


class Undo(NamedTuple):
    """That what was done can be taken back.

    Args:
        deed_id: of its entry in the audit.
        says: what that does, in words.
    """

    deed_id: str
    says: str


class Pages:
    """Makes pages.

    Args:
        places: the menu.
        namespace: shown on top, so that two installations are told apart.
    """

    def __init__(self, places: tuple[Place, ...], namespace: str) -> None:
        self._places = places
        self._namespace = namespace
        self._templates = _templates()

    def render(
        self, request: Request, template: str, status: int = 200, /, **values: Any
    ) -> HTMLResponse:
        """A page."""
        session = request.state.session
        caller: Caller | None = request.state.caller
        told, well, undo = session.told, session.well, session.undo
        if "hx-request" not in request.headers:
            session.told = session.undo = None
        content = self._templates.get_template(template).render(
            visitor=caller,
            can_operate=caller is not None and keys.Scope.OPERATE in caller.scopes,
            csrf=session.csrf,
            told=told,
            told_well=well,
            undo=undo,
            is_open=request.state.is_open,
            places=self._places,
            here=request.url.path,
            turn=request.state.turn,
            namespace=self._namespace,
            **values,
        )
        return HTMLResponse(content, status)

    def error(self, request: Request, status: int, why: str) -> HTMLResponse:
        """A page that says what went wrong, and what to do."""
        title = TITLES.get(status, "That went wrong")
        return self.render(request, "error.html", status, title=title, why=why)


@lru_cache
def _templates() -> Environment:
    """Compiled once for a process."""
    found = Environment(
        loader=PackageLoader("agent.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        text=words.text, sentence=words.sentence, number=words.number, time=words.time_tag,
        stamp=words.stamp, ago=words.ago_tag,
        seconds=words.seconds, took=words.took,
        call_time=words.call_time, moment_of=words.moment_of,
        id_text=words.id_text, id_path=words.id_path,
        json=words.json_text,
    )  # fmt: skip
    found.globals.update(asset=asset_url, HOME=HOME)
    return found


def told(
    request: Request, path: str, message: str, *, well: bool = True, undo: Undo | None = None
) -> Response:
    """Go on to a page, which says on its top what has happened, and how to take it back."""
    request.state.session.told = words.text(message, 500)
    request.state.session.well = well
    request.state.session.undo = None if undo is None else [*undo]
    if "hx-request" in request.headers:  # a part of a page goes nowhere by itself
        return Response(headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)
