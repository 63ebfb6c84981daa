"""Bodies for the sandbox's services, and what they make of them. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.models import Document
from agent.store.ejson import decode_id

NAMES = ("Ada", "Björn", "Chiara", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jomo")
WELCOME = "welcome"
"""A template that is stored; the others come with their requests."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a service is asked.

    Args:
        service_template: the body itself.
        data: the request's data.
        results: what has to stand in the reply.
        stored: the stored template that says the same as `service_template`.
    """

    service_template: Mapping[str, Any]
    data: Mapping[str, Any]
    results: Mapping[str, Any]
    stored: str | None = None

    def request(self, service_type: str, fault: Mapping[str, Any]) -> dict[str, Any]:
        """The request for it, with what is to go wrong where the sandbox looks for it."""
        template = dict(self.service_template)
        data = dict(self.data)
        if "notification" in template:
            template["notification"] = {**template["notification"], "metadata": {"sandbox": fault}}
        else:
            data["sandbox"] = dict(fault)
        if self.stored is not None:
            return {"template_id": self.stored, "data": data}
        inline = {"service_type": service_type, "service_template": template}
        return {"template": inline, "data": data}


def stored_templates() -> list[Document]:
    """What is stored before anything is submitted."""
    template = {"prompt": "Write a welcome for {{name}}."}
    return [
        {
            "id": WELCOME,
            "version": "1.0",
            "service_type": "GENERATIVE",
            "service_template": template,
        }
    ]


def prompt(chance: random.Random) -> Body:
    """A text to be generated from the stored template."""
    name = chance.choice(NAMES)
    return Body({}, {"name": name}, {"text": f"Write a welcome for {name}."}, stored=WELCOME)


def series(chance: random.Random) -> Body:
    """Numbers to be described."""
    numbers = [chance.randint(0, 1000) for _ in range(chance.randint(3, 40))]
    statistics = {"count": len(numbers), "min": float(min(numbers)), "max": float(max(numbers))}
    return Body({}, {"series": numbers}, {"statistics": statistics})


def rows(chance: random.Random) -> Body:
    """A table to be described."""
    table = [{"city": name, "sales": chance.randint(1, 90)} for name in NAMES]
    return Body({"rows": table}, {}, {"rows": len(table)})


def message(chance: random.Random) -> Body:
    """A message to somebody."""
    name = chance.choice(NAMES)
    template = {"recipient": f"{name}@example.org", "message": "Dear {{name}}", "channel": "mail"}
    return Body(template, {"name": name}, {"status": "delivered", "channel": "mail"})


def notification(chance: random.Random) -> Body:
    """A notification, which has an endpoint of its own."""
    recipient = f"device-{chance.randint(1, 500)}"
    told = {"recipient": recipient, "message": "Your report is ready", "channel": "push"}
    return Body({"notification": told}, {}, {"status": "delivered", "recipient": recipient})


def foreign_documents() -> Iterator[tuple[Document, Mapping[str, Any]]]:
    """Documents as the system before inserted them, and what has to stand in their results."""
    yield (
        {
            "_id": "order-17-greeting",
            "status": "pending",
            "tags": ["generative", "user:42"],
            "template": {"id": "greeting", "generative_template": {"prompt": "Greet {{name}}."}},
            "request": {"id": "old-17", "data": {"name": "Ann"}},
            "created_at": "2024-05-01T12:00:00",
            "client": {"name": "billing", "build": 7},
        },
        {"text": "Greet Ann."},
    )
    yield (
        {
            "_id": decode_id({"$oid": "6633a0f1c0ffee0000000017"}),
            "status": "pending",
            "template_id": WELCOME,
            "tags": {"service": "Generative"},
            "request": {"text": "A welcome", "data": {"name": "Bo"}, "urgent": True},
            "priority": 99,
            "client": {"name": "shop", "build": 3},
        },
        {"text": "Write a welcome for Bo."},
    )
