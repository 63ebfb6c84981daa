"""Whether everything ended as planned: pure, from documents and from what the services saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.cli.demo.plan import Planned, Range
from agent.models import Document, Status, context_key
from agent.workers.encoding import idempotency_key

KEPT = ("client",)
"""Fields of other programs' documents that have to stay as they are."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the services saw, by idempotency key.

    Args:
        calls: how often each was posted.
        deliveries: how often each stands in the outbox.
    """

    calls: Mapping[str, int]
    deliveries: Mapping[str, int]


def differences(
    plan: Sequence[Planned], documents: Sequence[Document | None], seen: Seen
) -> list[str]:
    """One line for each thing that is not as planned.

    Args:
        documents: in the order of the plan; None for one that is gone.
    """
    found = []
    for planned, document in zip(plan, documents, strict=True):
        name = f"{planned.service_type}, {planned.course.what}"
        if document is None:
            found.append(f"{name}: the context is gone")
            continue
        key = context_key(document.get("_id"))
        found += [f"{key} ({name}): {what}" for what in _differences(planned, document, seen)]
    return found


def _differences(planned: Planned, document: Document, seen: Seen) -> Iterator[str]:
    course, key = planned.course, idempotency_key(document)
    yield from _unlike("status", str(course.status), document.get("status"))
    yield from _outside("calls", course.calls, document.get("attempt"))
    yield from _outside("failures", course.failures, document.get("failures"))
    yield from _unlike(
        "calls that the service saw", document.get("attempt"), seen.calls.get(key, 0)
    )
    yield from _unlike("lease", None, document.get("lease"))
    yield from _unlike("error", course.error, _error_type(document))
    if course.status is Status.COMPLETED:
        yield from _lacking("results", planned.results, document.get("results"))
    if planned.service_type == "COMMUNICATION":
        delivered = seen.deliveries.get(key, 0)
        yield from _unlike("deliveries in the outbox", course.deliveries, delivered)
    if planned.document is not None:
        yield from _changed(planned.document, document)


def _calls(seen: Seen, key: str) -> int:
    return seen.calls.get(key, 0)


def _unlike(name: str, expected: object, actual: object) -> Iterator[str]:
    if expected != actual:
        yield f"{name}: {actual!r} instead of {expected!r}"


def _outside(name: str, expected: Range, actual: object) -> Iterator[str]:
    least, most = expected
    if not isinstance(actual, int) or not least <= actual <= most:
        yield f"{name}: {actual!r} instead of {least if least == most else f'{least} to {most}'}"


def _lacking(name: str, expected: Mapping[str, Any], actual: object) -> Iterator[str]:
    """What of the expected fields is missing or different, at any depth."""
    found = actual if isinstance(actual, Mapping) else {}
    for field, value in expected.items():
        if isinstance(value, Mapping):
            yield from _lacking(f"{name}.{field}", value, found.get(field))
        else:
            yield from _unlike(f"{name}.{field}", value, found.get(field))


def _changed(inserted: Document, document: Document) -> Iterator[str]:
    """What adoption changed of a document that it should have left alone."""
    yield from _unlike("the kind of its id", type(inserted["_id"]), type(document["_id"]))
    yield from _unlike("source", "foreign", document.get("source"))
    for name in KEPT:
        yield from _unlike(name, inserted[name], document.get(name))


def _error_type(document: Document) -> object:
    error = document.get("error")
    return error.get("type") if isinstance(error, Mapping) else None
