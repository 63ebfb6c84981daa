"""Templates: what they look like when stored, and where they are found.

The collection `templates` comes first, then the folders of JSON files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agent.errors import ConfigurationError, RequestInvalid, TemplateNotFound
from agent.intake.files import read_object_file
from agent.intake.parameters import Parameter, read_parameters
from agent.intake.template_steps import inputs_beside, read_steps
from agent.intake.values import as_text, as_version, kind_of, listed, shown, told
from agent.models import Document, Step, Template
from agent.services import ServiceRegistry, ServiceType
from agent.settings import Settings
from agent.versions import DEFAULT_VERSION, version_order

INLINE = "inline"
"""The id of a template that came with its request and has none of its own."""
ONLY_STEP = "only"
"""The key of the step that a template of one service is."""

_OLD_BODIES = {
    "GENERATIVE": "generative_template",
    "ANALYSIS": "analysis_template",
    "COMMUNICATION": "communication_template",
}
"""Where the system that this one replaces kept a template's body, by service."""


class StoredTemplates(Protocol):
    """The collection `templates`."""

    def find_template(self, template_id: str, version: str | None) -> Mapping[str, Any] | None:
        """The template of this id and version, the highest when None; None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class ReadTemplate:
    """A template that was read and found right.

    Args:
        steps: in the order in which they are listed; one where the template names its service.
        parameters: those that are typed.
        document: the template as it is to be stored, other fields kept.
    """

    id: str
    version: str
    steps: tuple[Step, ...]
    parameters: tuple[Parameter, ...] = ()
    document: Document = field(default_factory=dict, repr=False)

    @property
    def summary(self) -> str:
        """Its service, or its steps."""
        return summary_of(self.document)


def summary_of(document: Mapping[str, Any]) -> str:
    """What a stored template asks for, in a few words: its service, or its steps."""
    steps = document.get("steps")
    if not isinstance(steps, list):
        return str(document.get("service_type", "?"))
    keys = [str(step.get("key")) for step in steps if isinstance(step, Mapping)]
    return f"{len(steps)} step{'s' if len(steps) != 1 else ''}: {listed(keys)}"


def body_field(template: Mapping[str, Any], service: ServiceType | None) -> str | None:
    """The field that holds a template's body: the contract's, then the old one of its service."""
    own = _OLD_BODIES.get(service.name) if service is not None else None
    names = ["service_template", *([own] if own else []), *_OLD_BODIES.values()]
    return next((name for name in names if template.get(name) is not None), None)


def read_any(stored: Mapping[str, Any], registry: ServiceRegistry) -> ReadTemplate:
    """A template of one service or of steps, as it is stored or stands in a file.

    Raises:
        RequestInvalid: it is none; every problem is named.
    """
    return _read_of_steps(stored, registry) if lists_steps(stored) else _read_one(stored, registry)


def lists_steps(stored: Mapping[str, Any]) -> bool:
    return stored.get("steps") is not None


def read_template(stored: Mapping[str, Any], registry: ServiceRegistry) -> Template:
    """A template in the contract's shape, or in that of the old system; other fields are kept.

    Raises:
        RequestInvalid: it is none of a single service; every problem is named.
    """
    if lists_steps(stored):
        raise RequestInvalid("it lists steps, and a context has one service")
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


def _read_one(stored: Mapping[str, Any], registry: ServiceRegistry) -> ReadTemplate:
    problems: list[str] = []
    parameters = _parameters(stored, problems)
    template: Template | None = None
    try:
        template = read_template(stored, registry)
        inputs = inputs_beside(template, ())
        problems += [f"{inputs} is of no step, for it lists none"] if inputs else []
    except RequestInvalid as exc:
        problems.insert(0, str(exc))
    if problems or template is None:
        raise RequestInvalid(told(problems))
    step = Step(key=ONLY_STEP, template=template)
    return ReadTemplate(template.id, template.version, (step,), parameters, dict(template))


def _read_of_steps(stored: Mapping[str, Any], registry: ServiceRegistry) -> ReadTemplate:
    template_id = as_text(stored.get("id"))
    version = as_version(stored.get("version")) or DEFAULT_VERSION
    problems = [] if template_id else ["`id` is missing or no string"]
    body = body_field(stored, None)
    if body is not None:
        problems.append(f"it lists `steps` and has a `{body}`: one of them, not both")
    parameters = _parameters(stored, problems)
    steps: tuple[Step, ...] = ()
    try:
        steps = read_steps(
            stored["steps"], template_id=template_id or "", version=version, registry=registry
        )
    except RequestInvalid as exc:
        problems.append(str(exc))
    if problems or template_id is None:
        raise RequestInvalid(told(problems))
    document = {name: value for name, value in stored.items() if name != "_id"}
    return ReadTemplate(
        template_id, version, steps, parameters, {**document, "id": template_id, "version": version}
    )


def _parameters(stored: Mapping[str, Any], problems: list[str]) -> tuple[Parameter, ...]:
    """The typed parameters; what is wrong with them joins the problems."""
    try:
        return read_parameters(stored.get("parameters"))
    except RequestInvalid as exc:
        problems.append(str(exc))
        return ()


def known(registry: ServiceRegistry) -> str:
    return ", ".join(registry)


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
        self._loaded: dict[str, dict[str, ReadTemplate]] = {}
        for folder in folders:
            self.load_folder(folder)

    @classmethod
    def of(cls, stored: StoredTemplates, settings: Settings) -> TemplateSource:
        """By the settings: the collection, and the folders that they name.

        Raises:
            ConfigurationError: one of the folders is not there.
        """
        return cls(stored, settings.templates, registry=settings.registry)

    def load_folder(self, path: str | Path) -> list[ReadTemplate]:
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
        added: list[ReadTemplate] = []
        for file in sorted(folder.glob("*.json")):
            try:
                added.append(self._add(read_any(read_object_file(file), self._registry)))
            except RequestInvalid as exc:
                self.problems.append(f"{file}: {exc}")
        return added

    @property
    def loaded(self) -> list[ReadTemplate]:
        """What was loaded from files, by id and version."""
        return [
            versions[version]
            for _, versions in sorted(self._loaded.items())
            for version in sorted(versions, key=version_order)
        ]

    def find(self, template_id: str, version: str | None = None) -> Mapping[str, Any] | None:
        """A template as it is stored, or None: what the adoption of documents asks for."""
        stored = self._stored.find_template(template_id, version) if self._stored else None
        if stored is not None:
            return stored
        versions = self._loaded.get(template_id, {})
        if version is None and versions:
            version = max(versions, key=version_order)
        template = versions.get(version) if version is not None else None
        return template.document if template is not None else None

    def resolve(self, template_id: str, version: str | None = None) -> ReadTemplate:
        """The template of this id, the highest version unless one is asked for.

        Raises:
            TemplateNotFound: there is none; the message lists what is there.
            RequestInvalid: what is stored cannot be used; every problem is named.
            StoreUnavailable: MongoDB did not answer.
        """
        found = self.find(template_id, version)
        if found is None:
            raise TemplateNotFound(self._not_found(template_id, version))
        try:
            return read_any(found, self._registry)
        except RequestInvalid as exc:
            raise RequestInvalid(f"template {shown(template_id)}: {exc}") from exc

    def _add(self, template: ReadTemplate) -> ReadTemplate:
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
            others = f"; loaded from files: {listed(there)}" if there else ""
            return f"template {shown(template_id)} has no version {shown(version)}{others}"
        ids = sorted(self._loaded)
        others = f"loaded from files: {listed(ids)}" if ids else "none is loaded from files either"
        return f"no template {shown(template_id)} is stored; {others}"
