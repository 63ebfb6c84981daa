"""What a context gets before it is sent: the results of earlier steps, and its placeholders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agent.models import Document, step_id
from agent.placeholders import Reference, fill, references
from agent.store.marks import is_child, is_step


def filled(context: Document, results_of: Callable[[Sequence[Any]], dict[str, Any]]) -> Document:
    """The context as it is sent: with `inputs`, and its template's placeholders filled in.

    Documents of other programs are left as they are: what looks like a placeholder of ours may be
    one of their Base service's.

    Args:
        results_of: what the steps of these ids brought, by their keys; asked only for a step that
            comes after others.

    Raises:
        PlaceholderMissing: a placeholder has no value.
        RequestNotSendable: a value cannot be put in.
    """
    template = context.get("template")
    if not isinstance(template, Mapping) or not _is_ours(context):
        return context
    body = template.get("service_template")
    named = references(body)
    if not named and not is_step(context):
        return context
    inputs = results_of(_before(context, named)) if is_step(context) else None
    request = context.get("request")
    changed = fill(body, inputs=inputs or {}, request=request if isinstance(request, dict) else {})
    document = {**context, "template": {**template, "service_template": changed}}
    return document if inputs is None else {**document, "inputs": inputs}


def _is_ours(context: Document) -> bool:
    return context.get("source") != "foreign" or is_child(context)


def _before(context: Document, named: Iterable[Reference]) -> list[Any]:
    """The steps right before it, and those further back that its template names."""
    keys = sorted({each.path[0] for each in named if each.namespace == "inputs"})
    ids = [*context["after"], *(step_id(context["parent_id"], key) for key in keys)]
    return list(dict.fromkeys(ids))
