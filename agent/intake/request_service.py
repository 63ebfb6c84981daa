"""`RequestService`: how a request becomes a context, or several."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from agent.errors import RequestInvalid
from agent.intake.callbacks import callback_problems
from agent.intake.choice import Choice, Chosen, completed
from agent.intake.context_manager import ContextManager, ContextStore
from agent.intake.purposes import StoredPurposes
from agent.intake.request import Request, read_request
from agent.intake.templates import TemplateSource
from agent.models import HIGHEST_PRIORITY, RequestData, new_id
from agent.services import ServiceRegistry
from agent.settings import Settings
from agent.webhooks import NO_WEBHOOKS, Webhooks

if TYPE_CHECKING:
    from agent.store.mongo_context_repository import MongoContextRepository

__all__ = ["Request", "RequestService", "read_request"]

from agent.intake.families import without_priorities


class RequestService:
    """Turns requests into contexts: finds the template, then asks the `ContextManager`.

    Args:
        purposes: the collection `purposes`; None where there is none to choose from.
        webhooks: who may be called back.
    """

    def __init__(
        self,
        context_manager: ContextManager,
        templates: TemplateSource,
        registry: ServiceRegistry,
        purposes: StoredPurposes | None = None,
        webhooks: Webhooks = NO_WEBHOOKS,
    ) -> None:
        self._context_manager = context_manager
        self._webhooks = webhooks
        self._choice = Choice(templates, purposes, registry)

    @classmethod
    def of(
        cls, repository: MongoContextRepository, templates: TemplateSource, settings: Settings
    ) -> RequestService:
        """By the settings, with the purposes that are stored."""
        manager = ContextManager(repository, repository.now, settings.registry, settings)
        return cls(manager, templates, settings.registry, repository, settings.webhooks)

    def storing_in(self, store: ContextStore) -> RequestService:
        """One like this whose contexts are kept there."""
        other = copy(self)
        other._context_manager = self._context_manager.storing_in(store)
        return other

    def submit(self, request: Request, *, source: str = "api", id: str | None = None) -> str:
        """Store one request: the id of its context, or of the parent of its steps.

        Args:
            id: of the context or the parent; a new one when there is none.

        Raises:
            RequestInvalid: it cannot become a context; every problem is named.
            AlreadyStored: there is a context of this id. A parent whose steps are not all there
                gets those that are missing.
            StoreUnavailable: MongoDB did not answer. Whether it was stored is open.
        """
        chosen, request = self.check(request)
        return self._create(chosen, request, source, id)

    def check(self, request: Request) -> tuple[Chosen, Request]:
        """The template of a request, and the request with its defaults; nothing is stored.

        Raises:
            RequestInvalid: it cannot become a context; every problem is named.
            StoreUnavailable: MongoDB did not answer.
        """
        problems = self._problems(request)
        try:
            chosen = self._choice.of(request)
            request = completed(request, chosen)
        except RequestInvalid as exc:
            if not problems:
                raise
            problems.append(str(exc))
        if problems:
            raise RequestInvalid("; ".join(problems))
        return chosen, request

    def choose(self, request: Request) -> Chosen:
        """The template of a request whose data are not all there; nothing is stored.

        Raises:
            RequestInvalid: there is none, or it cannot be used; every problem is named.
            StoreUnavailable: MongoDB did not answer.
        """
        if problems := self._problems(request):
            raise RequestInvalid("; ".join(problems))
        return self._choice.of(request)

    def _problems(self, request: Request) -> list[str]:
        callback = callback_problems(request.callback_url, self._webhooks)
        return [*_contradictions(request), *callback]

    def _create(self, chosen: Chosen, request: Request, source: str, id: str | None) -> str:
        template, steps = chosen.template, chosen.template.steps
        priority = request.priority
        if request.urgent:
            priority = HIGHEST_PRIORITY
            steps = without_priorities(steps)
        common: dict[str, Any] = {
            "available_at": request.available_at,
            "deadline_at": request.deadline_at,
            "tags": request.tags,
            "source": source,
            "id": id,
            "callback_url": request.callback_url,
            "retention": request.kept,
        }
        if len(steps) == 1:
            return str(
                self._context_manager.create_service_context(
                    steps[0].template,
                    data_of(request, chosen),
                    priority=steps[0].priority or priority,
                    max_attempts=steps[0].max_attempts or request.max_attempts,
                    **common,
                ).id
            )
        return str(
            self._context_manager.create_request(
                steps,
                data_of(request, chosen),
                template_id=template.id,
                template_version=template.version,
                priority=priority,
                max_attempts=request.max_attempts,
                metadata=None,
                **common,
            ).id
        )


def data_of(request: Request, chosen: Chosen) -> RequestData:
    """The request as it stands in each of its contexts."""
    return RequestData.model_validate(
        {
            "id": new_id("req"),
            "text": request.text,
            "user_id": request.user_id,
            "purpose_id": request.purpose_id,
            "data": request.data,
            "metadata": request.metadata,
            "selection": chosen.record(),
        }
    )


def _contradictions(request: Request) -> list[str]:
    problems: list[str] = []
    ways = ("template_id", "template", "purpose_id")
    named = [f"`{name}`" for name in ways if getattr(request, name) is not None]
    if len(named) > 1:
        what = "both" if len(named) == 2 else "all"
        problems.append(f"{' and '.join(named)}: give one of them, not {what}")
    if request.template_version is not None and request.template_id is None:
        problems.append("`template_version`: there is no `template_id` that it could be of")
    start, end = request.available_at, request.deadline_at
    if start is not None and end is not None and end <= start:
        problems.append("`deadline_at` is not after `available_at`")
    return problems
