"""`/dashboard/requests`: requests of several steps, and batches."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agent.admission.surroundings import key_of, steps_of, surroundings
from agent.admission.why import why
from agent.answers import is_parent, progress_of
from agent.api.batches import download
from agent.api.paging import read_cursor
from agent.dashboard.asked import PAGE, given, link, next_cursor
from agent.dashboard.context import allowed
from agent.dashboard.graph import graph_of
from agent.dashboard.house import House
from agent.dashboard.pages import HOME
from agent.dashboard.words import id_path
from agent.errors import RequestInvalid
from agent.intake.rows import RowFormat
from agent.models import REQUEST, Document, Status

PATH = f"{HOME}/requests"
BATCH = "BATCH"
KINDS = {"steps": REQUEST, "batch": BATCH}
SHOWN = 50
"""Items of a batch."""


def requests_router(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PATH)
    repository = house.repository

    @router.get("")
    def requests(request: Request) -> Response:
        asked = given(request.query_params, ("kind", "status", "cursor"))
        kind, wrong = asked.get("kind", "steps"), None
        found: list[Document] = []
        try:
            found = repository.page_of_parents(
                KINDS.get(kind, REQUEST), limit=PAGE, status=_status(asked.get("status")),
                after=read_cursor(asked["cursor"]) if "cursor" in asked else None,
            )  # fmt: skip
        except RequestInvalid as exc:
            wrong = str(exc)
        filters = given(asked, ("kind", "status"))
        cursor = next_cursor(found)
        return house.pages.render(
            request, "requests.html", 400 if wrong else 200, found=found, asked=filters,
            kind=kind, wrong=wrong, now=repository.now(), progress_of=progress_of,
            following=link(PATH, filters, cursor=cursor) if cursor else None,
            is_first="cursor" not in asked, first=link(PATH, filters),
            statuses=[Status.PROCESSING, Status.COMPLETED, Status.FAILED, Status.CANCELLED],
        )  # fmt: skip

    @router.get("/{batch_id:path}/results")
    def results(request: Request, batch_id: str) -> Response:
        form = request.query_params.get("format", "")
        if form not in frozenset(map(str, RowFormat)):
            raise RequestInvalid(f"The format is one of {', '.join(RowFormat)}.")
        return download(house.doors, str(house.doors.id_of(batch_id)), RowFormat(form))

    @router.get("/{request_id:path}")
    def one(request: Request, request_id: str) -> Response:
        document = house.doors.find(request_id)
        if not is_parent(document):
            return RedirectResponse(f"{HOME}/contexts/{id_path(document['_id'])}", 303)
        steps = _steps(house, document)
        around = surroundings(repository, house.client, document, steps)
        return house.pages.render(
            request, "request.html", parent=document, steps=steps, now=around.now,
            why=why(document, around), progress=progress_of(document), key_of=key_of,
            graph=None if _is_batch(document) else graph_of(steps),
            failures=repository.failures_of(document["_id"]) if _is_batch(document) else None,
            is_batch=_is_batch(document), formats=[*RowFormat], here_path=PATH,
            path=f"{HOME}/contexts/{id_path(document['_id'])}",
            template=_object(document, "template"), asked=_object(document, "request"),
            error=_object(document, "error"), **allowed(document),
        )  # fmt: skip

    return router


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


def _is_batch(document: Document) -> bool:
    return document.get("service_type") == BATCH


def _status(word: str | None) -> Status | None:
    if word is None:
        return None
    if word not in frozenset(map(str, Status)):
        raise RequestInvalid(f"The status is one of {', '.join(Status)}.")
    return Status(word)


def _object(document: Document, name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}
