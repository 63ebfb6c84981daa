"""The service types: what each is called, where its queue and its settings are, who carries it out.

Three are built in; one's own come from worker classes named in `AGENT_WORKERS`. Where callbacks are
allowed, webhooks are a service of their own.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agent.errors import ConfigurationError, UnknownServiceType

OnAmbiguous = Literal["retry", "park"]

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class ServiceType:
    """One kind of Base service.

    Args:
        name: as it stands in `service_type`, in capitals.
        env: the first word of its variables; `GENERATION` gives `GENERATION_BASE_URL`.
        path: where a call is posted, below the base URL.
        worker: `module:Class` of the `ClientWorker` that carries it out; of one's own it is filled
            in from `AGENT_WORKERS`.
        on_ambiguous: what to do with a call whose outcome is unknown: send it again under the same
            idempotency key, or leave it to an operator.
    """

    name: str
    env: str
    path: str
    worker: str = ""
    on_ambiguous: OnAmbiguous = "retry"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"service type {self.name!r}: use capital letters, digits and _, at most 40"
            )
        if not _NAME.fullmatch(self.env):
            raise ConfigurationError(f"service type {self.name}: {self.env!r} is no variable name")

    @property
    def queue(self) -> str:
        """The name of its queue and of its actor."""
        return self.name.lower()

    @property
    def variable_prefix(self) -> str:
        return f"{self.env}_BASE_"


GENERATIVE = ServiceType(
    "GENERATIVE",
    "GENERATION",
    "/api/v1/generate",
    "agent.workers.generative_worker:GenerativeWorker",
)
ANALYSIS = ServiceType(
    "ANALYSIS", "ANALYSIS", "/api/v1/analyze", "agent.workers.analysis_worker:AnalysisWorker"
)
COMMUNICATION = ServiceType(
    "COMMUNICATION",
    "COMMUNICATION",
    "/api/v1/communicate",
    "agent.workers.communication_worker:CommunicationWorker",
    on_ambiguous="park",
)
BUILT_IN = (GENERATIVE, ANALYSIS, COMMUNICATION)
WEBHOOK = ServiceType("WEBHOOK", "WEBHOOK", "/", "agent.workers.webhook_worker:WebhookWorker")
"""Who asked is called back: no Base service, and there only where `AGENT_WEBHOOK_HOSTS` is set."""


class ServiceRegistry(Mapping[str, ServiceType]):
    """The service types of this installation, by name."""

    def __init__(self, services: Iterable[ServiceType] = BUILT_IN) -> None:
        self._services: dict[str, ServiceType] = {}
        for service in services:
            for other in self._services.values():
                if service.name == other.name or service.env == other.env:
                    raise ConfigurationError(
                        f"AGENT_WORKERS: {service.worker} and {other.worker} both claim "
                        f"{service.name} ({service.variable_prefix}*); give one another name"
                    )
            self._services[service.name] = service

    def __getitem__(self, name: str) -> ServiceType:
        try:
            return self._services[name]
        except KeyError:
            known = ", ".join(self._services)
            raise UnknownServiceType(f"no service type {name!r}; known are {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)

    def __contains__(self, name: object) -> bool:
        return name in self._services

    def find(self, word: object) -> ServiceType | None:
        """The service type that a word names, in any case of letters; None if there is none."""
        return self._services.get(word.strip().upper()) if isinstance(word, str) else None

    @classmethod
    def load(cls, worker_names: Iterable[str] = (), *, webhooks: bool = False) -> ServiceRegistry:
        """The built-in service types and those of the worker classes named.

        Args:
            webhooks: whether there are any.

        Raises:
            ConfigurationError: a name cannot be imported, or is no worker with a `service`.
        """
        ours = (*BUILT_IN, WEBHOOK) if webhooks else BUILT_IN
        return cls([*ours, *(load_worker(name) for name in worker_names)])


def import_worker(name: str) -> type:
    """The class that `module:Class` names.

    Raises:
        ConfigurationError: it cannot be imported.
    """
    module_name, _, class_name = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError, TypeError, SyntaxError) as exc:
        raise ConfigurationError(
            f"AGENT_WORKERS: cannot import {name!r} ({exc}); write module:Class, with the module "
            "on the PYTHONPATH"
        ) from exc
    if not isinstance(found, type):
        raise ConfigurationError(f"AGENT_WORKERS: {name!r} is no class")
    return found


def load_worker(name: str) -> ServiceType:
    """The service type of a worker class, whose `worker` then is the name it was loaded by."""
    service = getattr(import_worker(name), "service", None)
    if not isinstance(service, ServiceType):
        raise ConfigurationError(
            f"AGENT_WORKERS: {name!r} has no `service = ServiceType(…)`; see docs/workers.md"
        )
    return ServiceType(service.name, service.env, service.path, name, service.on_ambiguous)
