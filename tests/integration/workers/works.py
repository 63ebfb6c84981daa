"""Contexts that the three Base services can carry out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context

BODIES: Mapping[str, Document] = {
    "GENERATIVE": {"prompt": "Number {{number}}"},
    "ANALYSIS": {},
    "COMMUNICATION": {"recipient": "ann", "message": "Number {{number}}", "channel": "mail"},
}


def work(service_type: str, number: int, **fields: Any) -> Document:
    """A context that its Base service can carry out."""
    template = {
        "id": "t", "service_type": service_type, "service_template": BODIES[service_type]
    }  # fmt: skip
    data = {"number": number, "series": [1, 2, number]}
    request = {"id": f"r{number}", "data": data}
    return a_context(service_type=service_type, template=template, request=request, **fields)


def finished(repository: MongoContextRepository, status: str = "completed") -> int:
    return sum(counts.get(status, 0) for counts in repository.count_by_status().values())
