"""`/dashboard/contexts/{id}`: one context, why it is where it is, and what can be done with it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agent.admission.surroundings import steps_of, why_of
from agent.answers import is_parent
from agent.dashboard.house import House
from agent.dashboard.pages import HOME, told
from agent.dashboard.pictures.graph import Graph, graph_of
from agent.dashboard.pictures.timeline import timeline_of
from agent.dashboard.routes.contexts import PATH
from agent.dashboard.words import id_path, masked
from agent.errors import RequestInvalid
from agent.models import FINAL, HIGHEST_PRIORITY, LOWEST_PRIORITY, REQUEST, Document, Status
from agent.store.ejson import to_json

KEYS = {"": None, "fresh": True, "same": False}
"""Which idempotency key a retry sends; by itself the last outcome decides."""
FACTS = {"source": "Source", "attempt": "Calls", "failures": "Failures", "snoozes": "Snoozes",
         "crashes": "Crashes", "generation": "Begun anew", "processed_by": "Ended by"}  # fmt: skip
"""What is told of it in a few words, and in which; what is 0 says nothing."""


def context_router(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PATH)
    repository = house.repository

    @router.get("/{context_id:path}")
    def context(request: Request, context_id: str) -> Response:
        document = house.doors.find(context_id)
        if request.query_params.get("format") == "json":
            return Response(to_json(masked(document), indent=2), media_type="application/json")
        if is_parent(document):
            return RedirectResponse(f"{HOME}/requests/{id_path(document['_id'])}", 303)
        now = repository.now()
        return house.pages.render(
            request, "context.html", context=document, now=now,
            why=why_of(repository, house.client, document), timeline=timeline_of(document, now),
            facts=[(word, name, document[name]) for name, word in FACTS.items()
                   if document.get(name)],
            attempts=list(reversed(_objects(document, "attempts"))), path=_path(document),
            template=object_of(document, "template"), asked=object_of(document, "request"),
            error=object_of(document, "error"), graph=_graph(house, document), **allowed(document),
        )  # fmt: skip

    @router.post("/{context_id:path}/cancel")
    def cancel(request: Request, context_id: str) -> Response:
        id_ = house.doors.id_of(context_id)
        with house.written_down(request, "cancel", id_):
            document = repository.cancel(id_)
        return told(request, _path(document), "It is cancelled. What a running call brings is "
                    "dropped.")  # fmt: skip

    @router.post("/{context_id:path}/retry")
    def retry(request: Request, context_id: str) -> Response:
        id_, choice = house.doors.id_of(context_id), request.state.form.get("key", "")
        if choice not in KEYS:
            raise RequestInvalid("The key is `fresh`, `same`, or not chosen.")
        with house.written_down(request, "retry", id_):
            document = repository.retry(id_, fresh_key=KEYS[choice])
        house.doors.bell.ring("foreign")
        return told(request, _path(document), "It begins anew; its history is kept.")

    @router.post("/{context_id:path}/run-now")
    def run_now(request: Request, context_id: str) -> Response:
        id_ = house.doors.id_of(context_id)
        with house.written_down(request, "run now", id_):
            document = repository.run_now(id_)
        house.doors.bell.ring()
        return told(request, _path(document), "It waits no longer.")

    @router.post("/{context_id:path}/priority")
    def prioritise(request: Request, context_id: str) -> Response:
        id_, priority = house.doors.id_of(context_id), _priority(request.state.form)
        with house.written_down(request, f"priority {priority}", id_):
            document = repository.prioritise(id_, priority)
        return told(request, _path(document), f"Its priority is {priority}.")

    return router


def allowed(document: Document) -> dict[str, bool]:
    """What can be done with a context, or with a request as a whole, as it is now."""
    status = document.get("status")
    return {
        "can_cancel": status not in FINAL,
        "can_retry": status in (Status.FAILED, Status.CANCELLED),
        "can_run_now": status == Status.SCHEDULED,
        "can_prioritise": status not in FINAL and document.get("service_type") != "BATCH",
    }


def _graph(house: House, document: Document) -> Graph | None:
    """The steps of the request that it is one of, and its place among them."""
    parent_id = document.get("parent_id")
    if not isinstance(parent_id, str):
        return None
    parent = house.repository.parents([parent_id]).get(parent_id)
    if parent is None or parent.get("service_type") != REQUEST:
        return None
    return graph_of(steps_of(house.repository, parent), document["_id"])


def _path(document: Document) -> str:
    place = "requests" if is_parent(document) else "contexts"
    return f"{HOME}/{place}/{id_path(document['_id'])}"


def _priority(form: dict[str, str]) -> int:
    word = form.get("priority", "")
    if not word.isdecimal() or not HIGHEST_PRIORITY <= int(word[:4]) <= LOWEST_PRIORITY:
        raise RequestInvalid("The priority is a number from 1, the first, to 10.")
    return int(word)


def object_of(document: Document, name: str) -> dict[str, Any]:
    """What stands there, if that is an object: another program may have written anything."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _objects(document: Document, name: str) -> list[dict[str, Any]]:
    value = document.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
