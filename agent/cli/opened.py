"""What most commands begin with: settings, quiet logs, and the servers that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.errors import ContextNotFound

if TYPE_CHECKING:
    import redis

    from agent.intake.templates import TemplateSource
    from agent.services import ServiceType
    from agent.settings import Settings
    from agent.store.mongo_context_repository import MongoContextRepository

MAX_CONNECTIONS = 2
OWNER = "cli"
"""Whose idempotency keys those of the command line are."""


class Opened:
    """The settings and the repository of a command; Redis where a command asks for it."""

    def __init__(self, settings: Settings, repository: MongoContextRepository) -> None:
        self.settings = settings
        self.repository = repository
        self._client: redis.Redis | None = None

    @property
    def client(self) -> redis.Redis:
        """Redis. Nothing is connected until it is used.

        Raises:
            ConfigurationError: its URL cannot be read.
        """
        from agent.projections.connection import connect_redis

        if self._client is None:
            self._client = connect_redis(self.settings, max_connections=MAX_CONNECTIONS, name="cli")
        return self._client

    def ring(self, what: str = "") -> bool:
        """Tell the bridge that there may be work; False when Redis is away, which is no error."""
        from agent.projections.doorbell import CHANGES, VIEWS, ring

        if what in CHANGES:
            ring(self.client, self.settings.namespace, VIEWS)
        return ring(self.client, self.settings.namespace, what)

    def templates(self) -> TemplateSource:
        """The templates that there are; what is wrong with one is told, and costs only itself.

        Raises:
            ConfigurationError: a folder of templates is not there.
        """
        from agent.cli.output import note
        from agent.intake.templates import TemplateSource

        source = TemplateSource.of(self.repository, self.settings)
        for problem in source.problems:
            note(f"warning: {problem}")
        return source

    def service(self, word: str) -> ServiceType:
        """The service type that a word names, in any case of letters.

        Raises:
            UnknownServiceType: there is none; the message lists those that are known.
        """
        registry = self.settings.registry
        return registry.find(word) or registry[word]

    def find(self, word: str) -> Any:
        """The id of the context that a word of the command line means.

        Raises:
            ContextNotFound: there is none.
            RequestInvalid: it cannot be an id.
        """
        from agent.store.ids import meant_by

        return meant_by(word, self.repository.find_status)[0]

    def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            self._client.close()
        self.repository.close()


@contextmanager
def opened() -> Iterator[Opened]:
    """The servers of the environment. Nothing is connected until it is used.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    from agent.store.mongo_context_repository import MongoContextRepository

    settings = quiet_settings()
    found = Opened(settings, MongoContextRepository.connect(settings))
    try:
        yield found
    finally:
        found.close()


def quiet_settings() -> Settings:
    """The settings; and logs that only warn, in lines for people, unless a level was asked for.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    from agent.logs import configure_logging
    from agent.settings import load_settings

    settings = load_settings()
    asked = "log_level" in settings.model_fields_set
    quiet = {} if asked else {"log_level": "WARNING", "env": "development"}
    configure_logging(settings.model_copy(update=quiet))
    return settings


def for_each(words: list[str], act: Callable[[str], None]) -> bool:
    """Do something for each word; whether all went well. What did not is told, and costs only
    itself."""
    from agent.cli.exits import explain
    from agent.cli.output import note
    from agent.errors import IllegalTransition, NotStorable, RequestInvalid

    fine = True
    for word in words:
        try:
            act(word)
        except (ContextNotFound, IllegalTransition, NotStorable, RequestInvalid) as exc:
            note(explain(exc))
            fine = False
    return fine
