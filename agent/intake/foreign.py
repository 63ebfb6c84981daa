"""How a document that another program inserted becomes a context. Pure but for a new request id.

Here stands what the shapes of such documents mean; `rules` has what each field has to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from agent.errors import ContextUnreadable, RequestInvalid
from agent.intake.rules import (
    REQUEST_RULES,
    Mended,
    exactly,
    mend,
    priority,
    record_rules,
    template_rules,
    time_rules,
)
from agent.intake.templates import INLINE, body_field, known, lists_steps
from agent.intake.values import as_text, as_version, is_urgent, kind_of, shown
from agent.models import ABSENT
from agent.services import WEBHOOK, ServiceRegistry, ServiceType
from agent.versions import DEFAULT_VERSION

__all__ = ["ABSENT", "DECISIVE", "Adoption", "FindTemplate", "read_foreign", "what_was_read"]

FindTemplate = Callable[[str], Mapping[str, Any] | None]

DECISIVE = ("service_type", "template", "template_id", "tags", "request", "priority", "created_at")
"""The fields that the decision rests on, whether it changes them or not."""


class Adoption(NamedTuple):
    """What adopting one document writes, and what must still hold when it does.

    Args:
        changes: top-level fields to set.
        originals: what they held, to be kept under `adopted`; of `template` and `request`, when
            they were objects, only the fields that were overwritten.
        read: each field changed or relied on as it was read; `ABSENT` if it was not there.
    """

    changes: dict[str, Any]
    originals: dict[str, Any]
    read: dict[str, Any]


def read_foreign(
    document: Mapping[str, Any],
    *,
    registry: ServiceRegistry,
    find_template: FindTemplate,
    now: datetime,
    max_attempts: Callable[[ServiceType], int],
) -> Adoption:
    """What makes a context of a `pending` document that another program inserted.

    Args:
        find_template: the stored template of an id, or None.
        max_attempts: how many failures a context of this service type may have.

    Raises:
        ContextUnreadable: it says too little, or contradicts itself; the message says why.

    Whatever `find_template` raises, but `RequestInvalid`, passes through.
    """
    service, template = _read_template(document, registry, find_template)
    request = _read_request(document)
    changes, originals = mend(
        document,
        {
            "service_type": exactly(service.name),
            "priority": priority(urgent=is_urgent(document["request"])),
            **time_rules(document, now),
            **record_rules(document, max_attempts(service)),
        },
    )
    for part in (template, request):
        changes |= part.changes
        originals |= part.originals
    if originals and "adopted" in document:
        originals["adopted"] = document["adopted"]
    return Adoption(changes, originals, what_was_read(document, *changes, *originals))


def what_was_read(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The decisive fields and those named, as they stand in the document; `ABSENT` if not there.

    Where a document is unreadable, this is what its `failed` rests on.
    """
    return {name: document.get(name, ABSENT) for name in (*DECISIVE, *names)}


def _read_request(document: Mapping[str, Any]) -> Mended:
    found = document.get("request", ABSENT)
    if not isinstance(found, Mapping):
        what = "missing" if found is ABSENT else f"{kind_of(found)}, not an object"
        raise ContextUnreadable(f"`request` is {what}")
    return _part("request", found, mend(found, REQUEST_RULES))


def _read_template(
    document: Mapping[str, Any], registry: ServiceRegistry, find_template: FindTemplate
) -> tuple[ServiceType, Mended]:
    """The service type and the template; the stored one is asked for only where it is needed."""
    found = document.get("template", ABSENT)
    own = found if isinstance(found, Mapping) else {}
    service = _stated_service(document, own, registry)
    template_id = _template_id(document, found)
    body = _body(own, service)
    stored: Mapping[str, Any] | None = None
    if template_id is not None and (body is None or service is None):
        stored = _stored_template(template_id, find_template)
    if not own and stored is None:
        raise ContextUnreadable(_no_template(template_id))
    if service is None:
        service = _service_of(stored, registry)
    if body is None and template_id is None:
        raise ContextUnreadable("`template` has neither an `id` nor a `service_template`")
    if body is None and stored is not None:
        body = _body(stored, service)
    rules = template_rules(
        template_id=template_id or INLINE,
        version=as_version((stored or {}).get("version")) or DEFAULT_VERSION,
        service_type=service.name,
        body=body if body is not None else {},
    )
    if own:
        return service, _part("template", own, mend(own, rules))
    filled, _ = mend({}, rules)
    template = {**_other_fields(stored or {}, service), **filled}
    return service, Mended({"template": template}, {} if found is ABSENT else {"template": found})


def _part(name: str, found: Mapping[str, Any], mended: Mended) -> Mended:
    """The mending of an object's fields, as the mending of the field that holds the object."""
    changes, originals = mended
    return Mended(
        {name: {**found, **changes}} if changes else {}, {name: originals} if originals else {}
    )


def _stated_service(
    document: Mapping[str, Any], template: Mapping[str, Any], registry: ServiceRegistry
) -> ServiceType | None:
    """The first place that names one decides, and has to name one that is known."""
    tags = document.get("tags")
    places = {
        "service_type": document.get("service_type"),
        "template.service_type": template.get("service_type"),
        "tags.service": tags.get("service") if isinstance(tags, Mapping) else None,
    }
    for place, word in places.items():
        if word is not None:
            service = registry.find(word)
            if service is None:
                raise ContextUnreadable(
                    f"`{place}` is {shown(word)}; known service types are {known(registry)}"
                )
            return service
    return _tagged_service(tags if isinstance(tags, list) else [], registry)


def _tagged_service(words: list[Any], registry: ServiceRegistry) -> ServiceType | None:
    found = map(registry.find, words)
    # nobody asks for a webhook by its service type, so that this word is one like any other
    named = {each.name: each for each in found if each is not None and each != WEBHOOK}
    if len(named) > 1:
        raise ContextUnreadable(
            f"`tags` name several service types, {' and '.join(sorted(named))}; "
            "say in `service_type` which is meant"
        )
    return next(iter(named.values()), None)


def _service_of(stored: Mapping[str, Any] | None, registry: ServiceRegistry) -> ServiceType:
    service = registry.find(stored.get("service_type")) if stored is not None else None
    if service is None:
        raise ContextUnreadable(
            "no service type stands in `service_type`, `template.service_type`, `tags.service` or "
            f"a list `tags`, nor in a stored template; known are {known(registry)}"
        )
    return service


def _template_id(document: Mapping[str, Any], template: Any) -> str | None:
    inside = template.get("id") if isinstance(template, Mapping) else template
    places = {"template": inside, "template_id": document.get("template_id")}
    for place, value in places.items():
        if value is ABSENT or value is None or value == "":
            continue
        text = as_text(value)
        if text is None:
            where = "template.id" if place == "template" and inside is not template else place
            raise ContextUnreadable(f"`{where}` is {kind_of(value)}, which names no template")
        return text
    return None


def _no_template(template_id: str | None) -> str:
    if template_id is None:
        return "there is no template: neither `template` nor `template_id` says which"
    return f"no template {shown(template_id)} is stored, and the document brings none"


def _stored_template(template_id: str, find_template: FindTemplate) -> Mapping[str, Any] | None:
    try:
        stored = find_template(template_id)
    except RequestInvalid as exc:
        raise ContextUnreadable(f"template {shown(template_id)}: {exc}") from exc
    if stored is not None and lists_steps(stored):
        raise ContextUnreadable(
            f"template {shown(template_id)} lists steps, and a context has one service; submit a "
            "request for it"
        )
    return stored


def _body(template: Mapping[str, Any], service: ServiceType | None) -> Mapping[str, Any] | None:
    field = body_field(template, service)
    body = template[field] if field else None
    if body is not None and not isinstance(body, Mapping):
        raise ContextUnreadable(f"`{field}` of the template is {kind_of(body)}, not an object")
    return body


def _other_fields(stored: Mapping[str, Any], service: ServiceType) -> dict[str, Any]:
    """What a stored template has beside its body, which is copied once only."""
    body = body_field(stored, service)
    return {name: value for name, value in stored.items() if name not in ("_id", body)}
