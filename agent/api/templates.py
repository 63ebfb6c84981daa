"""`/v1/templates` and `/v1/purposes`: what can be asked for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import RootModel, model_validator

from agent.api import problem_kinds as kinds
from agent.api.bodies import no_foreign_numbers
from agent.api.doors import Doors
from agent.api.problems import Problem, documented
from agent.api.rendering import reply
from agent.api.security import Admin, Reader
from agent.api.shapes import (
    PurposeAnswer,
    PurposeList,
    TemplateAnswer,
    TemplateBrief,
    TemplateList,
)
from agent.errors import RequestInvalid, TemplateNotFound
from agent.intake.context_manager import check_depth
from agent.intake.purposes import read_purpose
from agent.intake.templates import read_any, summary_of
from agent.models import Document
from agent.versions import version_text

MOST_TEMPLATES = 1000

TemplateId = Annotated[str, Path(min_length=1, max_length=500, examples=["greeting"])]
PurposeId = Annotated[str, Path(min_length=1, max_length=500, examples=["welcome"])]


class Content(RootModel[dict[str, Any]]):
    """A template or a purpose, as docs/templates.md has it."""

    _no_foreign_numbers = model_validator(mode="before")(no_foreign_numbers)


def templates_router(doors: Doors) -> APIRouter:
    """The routes of templates."""
    router = APIRouter(prefix="/v1/templates", tags=["templates"])
    repository, registry = doors.repository, doors.settings.registry

    @router.get("", response_model=TemplateList, responses=documented())
    def templates(_caller: Reader) -> Response:
        """Every version of every template, without bodies. Scope `read`."""
        stored = repository.list_templates(MOST_TEMPLATES + 1)
        items = [
            _brief(each, str(each.get("id", each["_id"])), "collection")
            for each in stored[:MOST_TEMPLATES]
        ]
        items += [_brief(each.document, each.id, "file") for each in doors.templates.loaded]
        return reply({"items": items, "is_complete": len(stored) <= MOST_TEMPLATES})

    @router.get(
        "/{template_id}", response_model=TemplateAnswer, responses=documented(kinds.NOT_FOUND)
    )
    def template(
        _caller: Reader,
        template_id: TemplateId,
        version: Annotated[
            str | None, Query(max_length=100, description="Else the highest.")
        ] = None,
    ) -> Response:
        """A template, as it is stored. Scope `read`."""
        found = doors.templates.find(template_id, version)
        if found is None:
            raise Problem(kinds.NOT_FOUND, "there is no such template, or no such version of it")
        return reply({name: value for name, value in found.items() if name != "_id"})

    @router.put("/{template_id}", response_model=TemplateBrief, responses=documented(kinds.REFUSED))
    def store(_caller: Admin, template_id: TemplateId, body: Content) -> Response:
        """Store a version of a template, in place of the same version. Scope `admin`."""
        if body.root.get("id", template_id) != template_id:
            raise RequestInvalid("`id` is not that of the path")
        check_depth("template", body.root)
        read = read_any({**body.root, "id": template_id}, registry)
        repository.store_template(read.document)
        return reply(_brief(read.document, read.id, "collection"))

    return router


def purposes_router(doors: Doors) -> APIRouter:
    """The routes of purposes."""
    router = APIRouter(prefix="/v1/purposes", tags=["templates"])
    repository, registry = doors.repository, doors.settings.registry

    @router.get("", response_model=PurposeList, responses=documented())
    def purposes(_caller: Reader) -> Response:
        """All purposes, by id. Scope `read`."""
        return reply({"items": [_purpose(each) for each in repository.list_purposes()]})

    @router.get(
        "/{purpose_id}", response_model=PurposeAnswer, responses=documented(kinds.NOT_FOUND)
    )
    def purpose(_caller: Reader, purpose_id: PurposeId) -> Response:
        """One purpose. Scope `read`."""
        found = repository.find_purpose(purpose_id)
        if found is None:
            raise Problem(kinds.NOT_FOUND, "there is no such purpose")
        return reply(_purpose(found))

    @router.put("/{purpose_id}", response_model=PurposeAnswer, responses=documented(kinds.REFUSED))
    def store(_caller: Admin, purpose_id: PurposeId, body: Content) -> Response:
        """Store a purpose, in place of the one of this id; `warning` tells that its template is
        not there yet. Scope `admin`."""
        check_depth("purpose", body.root)
        read = read_purpose(purpose_id, body.root, registry)
        repository.store_purpose(read.id, read.document)
        warning: str | None = None
        try:
            doors.templates.resolve(read.template_id, read.version)
        except TemplateNotFound:
            warning = "its template is not there yet"
        except RequestInvalid as exc:
            warning = str(exc)
        return reply({**_purpose({"_id": read.id, **read.document}), "warning": warning})

    return router


def _brief(stored: Document, template_id: str, source: str) -> Document:
    return {
        "id": template_id, "version": version_text(stored.get("version")),
        "summary": summary_of(stored), "source": source, "stored_at": stored.get("stored_at"),
        "description": stored.get("description"),
    }  # fmt: skip


def _purpose(stored: Document) -> Document:
    more = {name: value for name, value in stored.items() if name not in ("_id", "id")}
    return {"id": str(stored["_id"]), **more}
