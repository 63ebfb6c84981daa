"""`/dashboard/requests`: requests of several steps, and batches."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agent.admission.surroundings import key_of, steps_of, surroundings
from agent.admission.why import why
from agent.answers import batch_progress, is_parent, progress_of
from agent.api.batches import download
from agent.api.paging import cursor_after, read_cursor
from agent.dashboard.asked import PAGE, given, link
from agent.dashboard.house import House
from agent.dashboard.pages import HOME
from agent.dashboard.pictures.graph import graph_of
from agent.dashboard.routes.context import allowed, object_of
from agent.dashboard.words import id_path
from agent.errors import RequestInvalid
from agent.intake.rows import RowFormat
from agent.models import REQUEST, Document, Status
from agent.store.families import WINDOW

PATH = f"{HOME}/requests"
BATCH = "BATCH"
KINDS = {"steps": REQUEST, "batch": BATCH}
SHOWN = 50
"""Items of a batch."""
MOST_STEPS = 100
"""Steps of a request that are listed."""


def requests_router(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PATH)
    repository = house.repository

    @router.get("")
    def requests(request: Request) -> Response:
        asked = given(request.query_params, ("kind", "status", "cursor"))
        kind, wrong = asked.get("kind", "steps"), None
        filters = given(asked, ("kind", "status"))
        found, following = list[Document](), None
        try:
            found, place = repository.search_parents(
                KINDS.get(kind, REQUEST), limit=PAGE, status=_status(asked.get("status")),
                after=read_cursor(asked["cursor"]) if "cursor" in asked else None,
            )  # fmt: skip
            following = link(PATH, filters, cursor=cursor_after(*place)) if place else None
        except RequestInvalid as exc:
            wrong = str(exc)
        return house.pages.render(
            request, "requests.html", 400 if wrong else 200, found=found, asked=filters,
            kind=kind, wrong=wrong, now=repository.now(), progress_of=progress_of,
            following=following, window=WINDOW,
            is_first="cursor" not in asked, first=link(PATH, filters),
            statuses=[Status.PROCESSING, Status.COMPLETED, Status.FAILED, Status.CANCELLED],
        )  # fmt: skip

    @router.get("/{request_id:path}")
    def one(request: Request, request_id: str) -> Response:
        document = house.doors.find(request_id)
        if form := request.query_params.get("format"):
            return _results(house, document, form)
        if not is_parent(document):
            return RedirectResponse(f"{HOME}/contexts/{id_path(document['_id'])}", 303)
        steps = _steps(house, document)
        around = surroundings(repository, house.client, document, steps)
        return house.pages.render(
            request, "request.html", parent=document, steps=steps, most=MOST_STEPS, now=around.now,
            why=why(document, around), key_of=key_of,
            progress=_progress(document, around.now),
            graph=None if _is_batch(document) else graph_of(steps),
            failures=repository.failures_of(document["_id"]) if _is_batch(document) else None,
            is_batch=_is_batch(document), formats=[*RowFormat], here_path=PATH,
            path=f"{HOME}/contexts/{id_path(document['_id'])}",
            template=object_of(document, "template"), asked=object_of(document, "request"),
            error=object_of(document, "error"), **allowed(document),
        )  # fmt: skip

    return router


def _results(house: House, document: Document, form: str) -> Response:
    """All items of a batch with what came of each, as a file."""
    if form not in frozenset(map(str, RowFormat)):
        raise RequestInvalid(f"The format is one of {', '.join(RowFormat)}.")
    return download(house.doors, str(document["_id"]), RowFormat(form))


def _steps(house: House, document: Document) -> list[Document]:
    """The steps of a request; of a batch some of its items, first those that failed."""
    if not _is_batch(document):
        return steps_of(house.repository, document)
    found: list[Document] = []
    for status in (Status.FAILED, Status.PROCESSING, Status.SCHEDULED, Status.PENDING,
                   Status.COMPLETED):  # fmt: skip
        if left := SHOWN - len(found):
            found += house.repository.children_of(document["_id"], limit=left, status=status)
    return found


def _progress(document: Document, now: datetime) -> Document:
    """How far it is, and of a batch when it will be through; another program may have counted."""
    counted = progress_of(document)
    is_sound = all(isinstance(each, int | float) for each in counted.values())
    return batch_progress(document, now) if is_sound and _is_batch(document) else counted


def _is_batch(document: Document) -> bool:
    return document.get("service_type") == BATCH


def _status(word: str | None) -> Status | None:
    if word is None:
        return None
    if word not in frozenset(map(str, Status)):
        raise RequestInvalid(f"The status is one of {', '.join(Status)}.")
    return Status(word)
