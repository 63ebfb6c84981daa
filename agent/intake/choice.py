"""Which template a request is carried out by, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

from agent.errors import RequestInvalid
from agent.intake.parameters import with_defaults
from agent.intake.purposes import (
    Match,
    NoPurposes,
    Purpose,
    StoredPurposes,
    choose,
    find_purpose,
    usable_purposes,
)
from agent.intake.request import Request
from agent.intake.templates import ReadTemplate, TemplateSource, read_any
from agent.intake.values import shown
from agent.services import ServiceRegistry


class Chosen(NamedTuple):
    """The template of a request, and why it is this one."""

    template: ReadTemplate
    by: str
    purpose: Purpose | None = None
    match: Match | None = None

    def record(self) -> dict[str, Any]:
        """What is kept about the choice, in `request.selection`."""
        runner_up = self.match.runner_up if self.match is not None else None
        return {
            "purpose_id": self.purpose.id if self.purpose is not None else None,
            "template_id": self.template.id,
            "version": self.template.version,
            "by": self.by,
            "score": self.match.score if self.match is not None else None,
            "runner_up": {"purpose_id": runner_up[0], "score": runner_up[1]} if runner_up else None,
        }


class Choice:
    """Chooses from the templates and purposes that are there."""

    def __init__(
        self,
        templates: TemplateSource,
        purposes: StoredPurposes | None,
        registry: ServiceRegistry,
    ) -> None:
        self._templates = templates
        self._purposes = NoPurposes() if purposes is None else purposes
        self._registry = registry

    def of(self, request: Request) -> Chosen:
        """The template that comes along or is named; else the purpose's that is named; else that
        of the purpose whose keywords stand in the text.

        Raises:
            RequestInvalid: there is none, or it cannot be used; every problem is named.
            StoreUnavailable: MongoDB did not answer.
        """
        if request.template is not None:
            given = {name: value for name, value in request.template if value is not None}
            return Chosen(read_any(given, self._registry), "template")
        if request.template_id is not None:
            found = self._templates.resolve(request.template_id, request.template_version)
            return Chosen(found, "template_id")
        if request.purpose_id is not None:
            purpose = find_purpose(self._purposes, request.purpose_id, self._registry)
            return Chosen(self._template_of(purpose), "purpose_id", purpose)
        if request.text is not None:
            match = choose(request.text, usable_purposes(self._purposes, self._registry))
            return Chosen(self._template_of(match.purpose), "keywords", match.purpose, match)
        raise RequestInvalid(
            "no template: give a `template_id`, or a `template`; or a `purpose_id`, or a `text` "
            "with keywords of a purpose"
        )

    def _template_of(self, purpose: Purpose) -> ReadTemplate:
        try:
            return self._templates.resolve(purpose.template_id, purpose.version)
        except RequestInvalid as exc:
            raise type(exc)(f"purpose {shown(purpose.id)}: {exc}") from exc


def completed(request: Request, chosen: Chosen) -> Request:
    """The request with the defaults of its purpose, then those of the template's parameters.

    Its own word wins, field by field of `data`, `metadata` and an object `tags`.

    Raises:
        RequestInvalid: the data are not as the parameters say; every problem is named.
    """
    changes: dict[str, Any] = {}
    if chosen.purpose is not None:
        defaults = chosen.purpose.defaults
        changes["data"] = {**defaults.data, **request.data}
        changes["metadata"] = {**defaults.metadata, **request.metadata}
        if "priority" not in request.model_fields_set and defaults.priority is not None:
            changes["priority"] = defaults.priority
        if request.max_attempts is None:
            changes["max_attempts"] = defaults.max_attempts
        if "tags" not in request.model_fields_set and defaults.tags is not None:
            changes["tags"] = defaults.tags
        elif isinstance(request.tags, dict) and isinstance(defaults.tags, dict):
            changes["tags"] = {**defaults.tags, **request.tags}
    data = changes.get("data", request.data)
    changes["data"] = with_defaults(chosen.template.parameters, data)
    return request.model_copy(update=changes)
