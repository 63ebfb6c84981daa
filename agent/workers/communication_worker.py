"""COMMUNICATION: messages to people, and notifications, which have an endpoint of their own.

What may have been sent is not sent again on a guess: see `on_ambiguous`.
"""

from __future__ import annotations

from typing import Any

from agent.errors import RequestNotSendable
from agent.models import Document
from agent.services import COMMUNICATION
from agent.workers.call import ServiceRequest, part, request_id
from agent.workers.worker_base import ClientWorker

NOTIFY_PATH = "/api/v1/notify"


class CommunicationWorker(ClientWorker):
    """Carries out contexts for the service that sends messages."""

    service = COMMUNICATION

    def build_request(self, context: Document) -> ServiceRequest:
        """A notification where the template has one, else a message like any other request."""
        notification = _notification(context)
        if notification is None:
            return super().build_request(context)
        body = {
            "recipient": _text(notification, "recipient"),
            "message": _text(notification, "message"),
            "channel": notification.get("channel"),
            "metadata": notification.get("metadata"),
            "request_id": request_id(context),
        }
        return ServiceRequest(NOTIFY_PATH, body)


def _notification(context: Document) -> dict[str, Any] | None:
    template = part(context, "template")
    if template.get("service_template") is None:
        return None
    service_template = part(template, "service_template", "template.")
    if service_template.get("notification") is None:
        return None
    part(context, "request")
    return part(service_template, "notification", "template.service_template.")


def _text(notification: dict[str, Any], name: str) -> str:
    value = notification.get(name)
    if not isinstance(value, str) or not value.strip():
        where = f"template.service_template.notification.{name}"
        raise RequestNotSendable(f"{where} must be a text that is not empty")
    return value
