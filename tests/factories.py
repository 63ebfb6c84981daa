"""Documents for tests: whole ones, of which a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from agent.models import ABSENT, Context, Document, RequestData, Template, new_id

LONG_AGO = datetime(2024, 5, 1, 12, tzinfo=UTC)
"""When made-up documents were made: past on any server's clock."""


def a_template(**overrides: Any) -> Document:
    """A template as it stands in a context."""
    return Template.model_validate(
        {
            "id": "greeting",
            "service_type": "GENERATIVE",
            "service_template": {"prompt": "Greet {{name}}"},
            **overrides,
        }
    ).model_dump()


def a_request(**overrides: Any) -> Document:
    """A request as it stands in a context."""
    return RequestData.model_validate(
        {
            "id": new_id("req"),
            "text": "Greet Ann",
            "user_id": "user:42",
            "data": {"name": "Ann"},
            **overrides,
        }
    ).model_dump()


def a_context(**overrides: Any) -> Document:
    """A whole context as it is stored: a pending one that has been due for long.

    Names are those of the document, `_id` included; its template follows `service_type`.
    """
    service_type = overrides.get("service_type", "GENERATIVE")
    context = Context.model_validate(
        {
            "_id": new_id("ctx"),
            "service_type": service_type,
            "status": "pending",
            "template": a_template(service_type=service_type),
            "request": a_request(),
            "created_at": LONG_AGO,
            "updated_at": LONG_AGO,
            "available_at": LONG_AGO,
            **overrides,
        }
    )
    return context.to_document()


def a_lease(**overrides: Any) -> Document:
    """The lease of a context that is processing; it ran out long ago."""
    return {
        "owner": "worker:1",
        "claim_id": "claim_1",
        "token": "token_1",
        "expires_at": LONG_AGO,
        **overrides,
    }


def foreign(**fields: Any) -> Document:
    """A pending document as another program inserts it; `ABSENT` leaves a field out."""
    document = {
        "_id": ObjectId(),
        "status": "pending",
        "request": {"id": "r-1", "data": {"name": "Ann"}},
        "template": {
            "id": "welcome",
            "service_type": "GENERATIVE",
            "service_template": {"prompt": "Hi"},
        },
        **fields,
    }
    return {name: value for name, value in document.items() if value is not ABSENT}
