"""COMMUNICATION's job: delivers messages and notifications to the outbox."""

from typing import Any

from agent.sandbox.generation import fill
from agent.sandbox.incoming import Call
from agent.sandbox.outbox import Outbox, checked_message
from agent.sandbox.replies import Reply


def communicate(call: Call, outbox: Outbox) -> Reply:
    """Deliver what the template says, what it leaves open taken from the request's data."""

    def part(name: str) -> Any:
        value = call.template_data.get(name)
        return call.data.get(name) if value is None else value

    message = checked_message(
        _filled(part("recipient"), call),
        _filled(part("message"), call),
        part("channel"),
        part("metadata"),
    )
    return outbox.deliver(message, call.idempotency_key, call.request_id)


def notify(call: Call, outbox: Outbox) -> Reply:
    """Deliver the notification that the body is."""
    parts = (call.body.get(name) for name in ("recipient", "message", "channel", "metadata"))
    return outbox.deliver(checked_message(*parts), call.idempotency_key, call.request_id)


def _filled(value: Any, call: Call) -> Any:
    return fill(value, call) if isinstance(value, str) else value
