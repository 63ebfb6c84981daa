"""What the routes share: the repository, the intake, the listeners, the bell; put together once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import redis

from agent.api import problem_kinds as kinds
from agent.api.hub import Hub
from agent.api.nudges import Nudges
from agent.api.problems import Problem
from agent.intake.batches import Batches
from agent.intake.request_service import RequestService
from agent.intake.schedules import Schedules
from agent.intake.submissions import Submissions
from agent.intake.templates import TemplateSource
from agent.logs import get_logger
from agent.models import Document
from agent.projections.doorbell import CHANGES, VIEWS, ring
from agent.services import ServiceType
from agent.settings import Settings
from agent.store.ids import meant_by
from agent.store.mongo_context_repository import MongoContextRepository

CLOSE_SECONDS = 2.0

log = get_logger()


class Bell:
    """Rings for the bridge from a thread of its own: a Redis that hangs holds up no request, and
    many requests at once make one ring."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._wanted = threading.Condition()
        self._what: set[str] = set()
        self._thread: threading.Thread | None = None
        self._closing = False

    def ring(self, what: str = "") -> None:
        """There may be work; `foreign` if some of it has to be adopted."""
        with self._wanted:
            self._what.update({what, VIEWS} if what in CHANGES else {what})
            self._wanted.notify()
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ring for the last time, unless Redis hangs."""
        with self._wanted:
            self._closing = True
            self._wanted.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._wanted:
                self._wanted.wait_for(lambda: self._what or self._closing)
                rung, self._what = self._what, set()
            for what in sorted(rung):
                ring(self._client, self._namespace, what)
            if self._closing and not rung:
                return


@dataclass(frozen=True, slots=True)
class Doors:
    """What the routes are given."""

    settings: Settings
    repository: MongoContextRepository
    client: redis.Redis
    templates: TemplateSource
    submissions: Submissions
    schedules: Schedules
    batches: Batches
    hub: Hub
    nudges: Nudges
    bell: Bell

    @classmethod
    def of(
        cls, settings: Settings, repository: MongoContextRepository, client: redis.Redis
    ) -> Doors:
        """Put together. Neither server is asked.

        Raises:
            ConfigurationError: a folder of templates is not there.
        """
        templates = TemplateSource.of(repository, settings)
        for told in templates.problems:
            log.warning("template.unusable", problem=told)
        service = RequestService.of(repository, templates, settings)
        return cls(
            settings, repository, client, templates, Submissions(service, repository),
            Schedules(repository, service), Batches(repository, service), Hub(repository),
            Nudges(repository), Bell(client, settings.namespace),
        )  # fmt: skip

    def service(self, word: str) -> ServiceType:
        """The service type that a path names, in any case of letters.

        Raises:
            Problem: there is none.
        """
        found = self.settings.registry.find(word)
        if found is None:
            raise Problem(kinds.NOT_FOUND, f"services are {', '.join(self.settings.registry)}")
        return found

    def find(self, word: str) -> Document:
        """The context that a path means.

        Raises:
            ContextNotFound: there is none.
            RequestInvalid: it cannot be an id.
        """
        return meant_by(word, self.repository.find_context)[1]

    def id_of(self, word: str) -> Any:
        """The id of the context that a path means.

        Raises:
            ContextNotFound: there is none.
            RequestInvalid: it cannot be an id.
        """
        return meant_by(word, self.repository.find_status)[0]
