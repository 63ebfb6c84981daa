"""Adopt: makes contexts of the documents that other programs inserted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.errors import ContextUnreadable, NotStorable
from agent.intake.foreign import read_foreign, what_was_read
from agent.intake.templates import TemplateSource
from agent.logs import get_logger
from agent.models import Document, ErrorRecord, context_key
from agent.services import ServiceRegistry, ServiceType
from agent.store.connection import check_storable
from agent.store.mongo_context_repository import MongoContextRepository

log = get_logger()


class Adopt:
    """Takes over pending documents without a fence; one that cannot be read fails and says why.

    Args:
        max_attempts: how many failures a context of each service type may have.
    """

    def __init__(
        self,
        repository: MongoContextRepository,
        registry: ServiceRegistry,
        templates: TemplateSource,
        max_attempts: Mapping[str, int],
    ) -> None:
        self._repository = repository
        self._registry = registry
        self._templates = templates
        self._max_attempts = max_attempts

    @classmethod
    def of(cls, repository: MongoContextRepository) -> Adopt:
        """Adoption by the settings, with the templates of their folders.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        settings = repository.settings
        registry = settings.registry
        templates = TemplateSource.of(repository, settings)
        for problem in templates.problems:
            log.warning("template.refused", problem=problem)
        limits = {name: settings.service(each).max_attempts for name, each in registry.items()}
        return cls(repository, registry, templates, limits)

    def run(self) -> int:
        """Adopt what is there; how many documents were decided.

        Raises:
            StoreUnavailable: MongoDB did not answer.
        """
        return self._decide_all(self._repository.foreign)

    def run_thoroughly(self) -> int:
        """The same for those that no claim would ever take, which only slower questions find."""
        self._repository.promote_undated()
        return self._decide_all(self._repository.foreign_fences)

    def _decide_all(self, find: Any) -> int:
        total = 0
        while True:
            ids: Sequence[Any] = find()
            decided = sum(self._decide(*each) for each in self._repository.readable(ids))
            total += decided
            if not decided:  # nothing there, or nothing that could be written
                return total

    def _decide(self, context_id: Any, document: Document | None) -> bool:
        if document is None:
            return self._refuse({"_id": context_id}, "it cannot be decoded")
        try:
            adoption = read_foreign(
                document,
                registry=self._registry,
                find_template=self._templates.find,
                now=self._repository.now(),
                max_attempts=self._limit,
            )
        except ContextUnreadable as exc:
            return self._refuse(document, str(exc))
        try:
            check_storable(document)  # with room for a lease, attempts, an error
            adopted = self._repository.adopt(
                document,
                read=adoption.read,
                changes_=adoption.changes,
                originals=adoption.originals,
            )
        except NotStorable as exc:
            return self._refuse(document, f"it cannot be stored with what is missing: {exc}")
        if adopted:
            log.info("context.adopted", context_id=context_key(context_id))
        return adopted

    def _refuse(self, document: Document, reason: str) -> bool:
        error = ErrorRecord(type="ContextUnreadable", message=reason, retryable=False)
        read = what_was_read(document, "fence") if len(document) > 1 else {}
        try:
            refused = self._repository.adopt_fail(document, read=read, error=error)
        except NotStorable as exc:
            log.error(
                "context.beyond_help", context_id=context_key(document["_id"]), error=str(exc)
            )
            return False
        if refused:
            log.warning(
                "context.unreadable", context_id=context_key(document["_id"]), reason=reason
            )
        return refused

    def _limit(self, service: ServiceType) -> int:
        return self._max_attempts[service.name]
