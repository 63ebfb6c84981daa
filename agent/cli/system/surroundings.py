"""What the environment leaves open when the whole system is to run on one machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import AliasChoices

from agent.embedded.ports import free_port, is_free
from agent.errors import ConfigurationError
from agent.services import BUILT_IN, ServiceType, import_worker
from agent.settings import Settings


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is to be started here, since nothing says where it is.

    Args:
        sandboxed: the service types that the sandbox stands in for.
        port: where `web` is to listen.
    """

    mongodb: bool
    redis: bool
    sandboxed: tuple[ServiceType, ...]
    port: int


def find_gaps(settings: Settings) -> Gaps:
    """What the settings leave open.

    Raises:
        ConfigurationError: a service that the sandbox cannot, or in production must not, stand in
            for has no URL, or another setting of its own is wrong.
    """
    sandboxed = tuple(each for each in BUILT_IN if settings.service(each).url is None)
    if sandboxed and settings.env == "production":
        raise ConfigurationError(
            f"{sandboxed[0].variable_prefix}URL is not set; set it to where the "
            f"{sandboxed[0].name} service is, or AGENT_ENV=development for a sandbox in its place"
        )
    for service in settings.registry.values():
        if service not in sandboxed:
            import_worker(service.worker)(settings=settings).check()
    given = settings.model_fields_set
    port = settings.port
    return Gaps(
        mongodb="mongodb_uri" not in given,
        redis="redis_url" not in given,
        sandboxed=sandboxed,
        port=port if port and ("port" in given or is_free(port)) else free_port(),
    )


def dashboard_url(port: int) -> str:
    """Where the page is that shows what goes on."""
    return f"http://127.0.0.1:{port}/dashboard"


def environment_file(variables: Mapping[str, str]) -> str:
    """A file for a shell to read, so that commands in another terminal find what was started."""
    lines = (f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items()))
    return "".join(f"{line}\n" for line in lines)


def variables_of_ours(environment: Iterable[str]) -> list[str]:
    """Which of these variables settings are read from; where a server's program is, is none."""
    shared = {
        str(name)
        for field in Settings.model_fields.values()
        for name in (
            field.validation_alias.choices
            if isinstance(field.validation_alias, AliasChoices)
            else [field.validation_alias]
        )
    }
    prefixes = tuple(service.variable_prefix for service in BUILT_IN)
    return [name for name in environment if name in shared or name.startswith(prefixes)]
