"""The environment: every setting gets through to the containers, and no secret stands in a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.services import BUILT_IN, WEBHOOK
from agent.settings import ServiceSettings, Settings
from scripts.settings_doc import variables

_SECRET = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|USERS")
_FROM_OUTSIDE = re.compile(r"\$\{[A-Z_]+\}")
_WITH_PASSWORD = re.compile(r"://[^/\s${}]*:[^/\s${}]+@")

OF_BASE_SERVICES = frozenset(
    {"URL", "API_KEY", "PATH", "STATUS_PATH", "ACCEPTED_TIMEOUT", "MAX_REMOTE"}
)
"""Where one is, and what it has accepted: webhooks have no Base service."""


def check_variables(compose: Mapping[str, Any], app: Mapping[str, Any]) -> list[str]:
    """A setting that a container does not get would be ignored in silence."""
    problems = []
    known = {name for names in all_variables() for name in names}
    for service, content in compose.get("services", {}).items():
        if "build" not in content:
            continue
        environment = content.get("environment") or {}
        where = f"compose/compose.yaml: {service}"
        problems += [
            f"{where} does not pass {names[0]} on"
            for names in all_variables()
            if not any(name in environment for name in names)
        ]
        problems += [
            f"{where} sets {name}, which is no setting" for name in environment if name not in known
        ]
        problems += _secrets(where, environment.items())
    set_there = {name: entry.get("value") for name, entry in app.get("env", {}).items()}
    problems += [f"app.json: {name} is no setting" for name in set_there if name not in known]
    return problems + _secrets("app.json", set_there.items())


def all_variables() -> Iterator[tuple[str, ...]]:
    """The names of each setting, the one that wins first."""
    for name, field in Settings.model_fields.items():
        yield variables(name, field)
    for service in BUILT_IN:
        for name, field in ServiceSettings.model_fields.items():
            yield (service.variable_prefix + variables(name, field)[0],)
    for name, field in ServiceSettings.model_fields.items():
        variable = variables(name, field)[0]
        if variable not in OF_BASE_SERVICES:
            yield (WEBHOOK.variable_prefix + variable,)


def _secrets(where: str, values: Iterable[tuple[str, Any]]) -> list[str]:
    return [f"{where}: {name} holds a secret" for name, value in values if _is_secret(name, value)]


def _is_secret(name: str, value: Any) -> bool:
    if value is None or _FROM_OUTSIDE.fullmatch(str(value)):
        return False
    return bool(_SECRET.search(name) or _WITH_PASSWORD.search(str(value)))
