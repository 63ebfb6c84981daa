"""Templates: what they look like when stored, and where they are found.

The collection `templates` comes first, then the folders of JSON files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from agent.errors import ConfigurationError, RequestInvalid, TemplateNotFound
from agent.intake.values import as_text, as_version, kind_of, shown
from agent.models import Template
from agent.services import ServiceRegistry, ServiceType

DEFAULT_VERSION = "1.0"
INLINE = "inline"
"""The id of a template that came with its request and has none of its own."""
MAX_FILE_BYTES = 15 * 1024 * 1024
_NAMED = 10

_OLD_BODIES = {
    "GENERATIVE": "generative_template",
    "ANALYSIS": "analysis_template",
    "COMMUNICATION": "communication_template",
}
"""Where the system that this one replaces kept a template's body, by service."""


class StoredTemplates(Protocol):
    """The collection `templates`."""

    def find_template(self, template_id: str, version: str | None) -> Mapping[str, Any] | None:
        """The template of this id and version, the newest when None; None if there is none."""
        ...


def body_field(template: Mapping[str, Any], service: ServiceType | None) -> str | None:
    """The field that holds a template's body: the contract's, then the old one of its service."""
    own = _OLD_BODIES.get(service.name) if service is not None else None
    names = ["service_template", *([own] if own else []), *_OLD_BODIES.values()]
    return next((name for name in names if template.get(name) is not None), None)


def read_template(stored: Mapping[str, Any], registry: ServiceRegistry) -> Template:
    """A template in the contract's shape, or in that of the old system; other fields are kept.

    Raises:
        RequestInvalid: it is none; every problem is named.
    """
    if "steps" in stored:
        raise RequestInvalid("it lists steps; steps are not built yet")
    service = registry.find(stored.get("service_type"))
    field = body_field(stored, service)
    body = stored.get(field) if field else None
    template_id = as_text(stored.get("id"))
    problems: list[str] = []
    if not template_id:
        problems.append("`id` is missing or no string")
    if service is None:
        problems.append(
            f"`service_type` is {shown(stored.get('service_type'))}; known are {known(registry)}"
        )
    if field is None:
        problems.append("there is no `service_template`")
    elif not isinstance(body, Mapping):
        problems.append(f"`{field}` is {kind_of(body)}, not an object")
    if problems or service is None:
        raise RequestInvalid("; ".join(problems))
    return Template.model_validate(
        {
            **{name: value for name, value in stored.items() if name not in ("_id", field)},
            "id": template_id,
            "version": as_version(stored.get("version")) or DEFAULT_VERSION,
            "service_type": service.name,
            "service_template": body,
        }
    )


def known(registry: ServiceRegistry) -> str:
    return ", ".join(registry)


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key: 1.10 after 1.9, 2.0 after 2.0-beta, `v2` as 2."""
    parts = re.findall(r"[0-9]+|[a-z]+", version.lower().removeprefix("v"))
    return (*(_part_order(part) for part in parts), (1, 0, ""))


def _part_order(part: str) -> tuple[int, int, str]:
    """Words before the end, the end before numbers; digits compare by length, then in order."""
    if not part.isdigit():
        return (0, 0, part)
    digits = part.lstrip("0")
    return (2, len(digits), digits)


class TemplateSource:
    """Where templates are found.

    Args:
        stored: the collection `templates`; None when there is none.
        folders: folders of JSON files, read at once; `problems` has what was wrong with any file.

    Raises:
        ConfigurationError: one of the folders is not there.
    """

    def __init__(
        self,
        stored: StoredTemplates | None,
        folders: Iterable[str | Path] = (),
        *,
        registry: ServiceRegistry,
    ) -> None:
        self.problems: list[str] = []
        self._stored = stored
        self._registry = registry
        self._loaded: dict[str, dict[str, Template]] = {}
        for folder in folders:
            self.load_folder(folder)

    def load_folder(self, path: str | Path) -> list[Template]:
        """Load every `*.json` of a folder; a file that is wrong costs only itself.

        Returns:
            The templates that were added, in the order of their file names. What is wrong stands
            in `problems`, one line a file.

        Raises:
            ConfigurationError: there is no such folder.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise ConfigurationError(
                f"there is no folder of templates {str(path)!r}: create it, or take it out of "
                "AGENT_TEMPLATES"
            )
        added: list[Template] = []
        for file in sorted(folder.glob("*.json")):
            try:
                added.append(self._add(_read_file(file, self._registry)))
            except RequestInvalid as exc:
                self.problems.append(f"{file}: {exc}")
        return added

    def find(self, template_id: str, version: str | None = None) -> Mapping[str, Any] | None:
        """A template as it is stored, or None: what the adoption of documents asks for."""
        stored = self._stored.find_template(template_id, version) if self._stored else None
        if stored is not None:
            return stored
        versions = self._loaded.get(template_id, {})
        if version is None and versions:
            version = max(versions, key=version_order)
        template = versions.get(version) if version is not None else None
        return dict(template) if template is not None else None

    def resolve(self, template_id: str, version: str | None = None) -> Template:
        """The template of this id, the newest version unless one is asked for.

        Raises:
            TemplateNotFound: there is none; the message lists what is there.
            RequestInvalid: what is stored cannot be used; every problem is named.
            StoreUnavailable: MongoDB did not answer.
        """
        found = self.find(template_id, version)
        if found is None:
            raise TemplateNotFound(self._not_found(template_id, version))
        try:
            return read_template(found, self._registry)
        except RequestInvalid as exc:
            raise RequestInvalid(f"template {shown(template_id)}: {exc}") from exc

    def _add(self, template: Template) -> Template:
        versions = self._loaded.setdefault(template.id, {})
        if template.version in versions:
            raise RequestInvalid(
                f"template {template.id!r} version {template.version!r} was loaded before"
            )
        versions[template.version] = template
        return template

    def _not_found(self, template_id: str, version: str | None) -> str:
        versions = self._loaded.get(template_id)
        if version is not None and (versions or self.find(template_id)):
            there = sorted(versions or (), key=version_order)
            listed = f"; loaded from files: {_listed(there)}" if there else ""
            return f"template {shown(template_id)} has no version {shown(version)}{listed}"
        ids = sorted(self._loaded)
        listed = f"loaded from files: {_listed(ids)}" if ids else "none is loaded from files either"
        return f"no template {shown(template_id)} is stored; {listed}"


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _read_file(file: Path, registry: ServiceRegistry) -> Template:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise RequestInvalid(f"is larger than {MAX_FILE_BYTES // 2**20} MB")
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as exc:
        raise RequestInvalid(f"cannot be read ({exc.strerror})") from exc
    except UnicodeDecodeError as exc:
        raise RequestInvalid("is not UTF-8") from exc
    except (ValueError, RecursionError) as exc:
        raise RequestInvalid(f"is not JSON ({exc})") from exc
    if not isinstance(content, dict):
        raise RequestInvalid(f"holds {kind_of(content)}, not an object")
    return read_template(content, registry)
