"""One incoming call: read, and checked for type."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from starlette.types import Receive, Scope

from agent.sandbox.faults import NO_FAULT, Fault, parse_fault
from agent.sandbox.replies import Refused

MAX_BODY_BYTES = 32 << 20  # twice the largest document


class CallerGone(Exception):
    """The caller closed the connection before its request was complete."""


@dataclass(frozen=True, slots=True)
class Headers:
    """What a call says about itself outside its body."""

    authorization: bytes = b""
    idempotency_key: str | None = None
    request_id: str | None = None
    attempt: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A work call. What it holds is of the type it should have, or empty."""

    body: Mapping[str, Any]
    idempotency_key: str | None = None
    request_id: str | int | None = None
    template_data: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)  # context.request.data


def read_headers(scope: Scope) -> Headers:
    """The headers that matter here."""
    found: dict[bytes, bytes] = dict(scope["headers"])

    def text(name: bytes) -> str | None:
        return found[name].decode("latin-1") if found.get(name) else None

    return Headers(
        authorization=found.get(b"authorization", b""),
        idempotency_key=text(b"idempotency-key"),
        request_id=text(b"x-request-id"),
        attempt=text(b"x-attempt"),
    )


async def read_json(receive: Receive) -> Any:
    """The request's body as JSON.

    Raises:
        Refused: it is too large, or no JSON.
        CallerGone: it never arrived as a whole.
    """
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise Refused(413, f"the body is over {MAX_BODY_BYTES} bytes")
        more = message.get("more_body", False)
    return parse_json(bytes(body))


def parse_json(body: bytes) -> Any:
    """Strict JSON; whatever `json` chokes on is malformed."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise Refused(400, f"malformed JSON: {exc}") from exc


def read_call(body: Any, headers: Headers) -> Call:
    """The call in a parsed body. Strict with the fields of the call itself, lenient inside the
    context, where other programs' documents may have any shape.

    Raises:
        Refused: 422 that names the field.
    """
    if not isinstance(body, dict):
        raise Refused(422, "the body must be an object")
    for name in ("template_data", "context"):
        if not isinstance(body.get(name) or {}, dict):
            raise Refused(422, f"{name} must be an object")
    request_id = body.get("request_id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        raise Refused(422, "request_id must be a string")
    context = _object(body.get("context"))
    return Call(
        body=body,
        idempotency_key=headers.idempotency_key,
        request_id=headers.request_id if request_id is None else request_id,
        template_data=_object(body.get("template_data")),
        context=context,
        data=_object(_object(context.get("request")).get("data")),
    )


def fault_of(call: Call) -> Fault:
    """The fault that this call asks for.

    Raises:
        Refused: 422 that names what is wrong with it.
    """
    for place in (call.template_data, call.data, _object(call.body.get("metadata"))):
        if place.get("sandbox") is not None:
            return parse_fault(place["sandbox"])
    return NO_FAULT


def recipient_of(call: Call) -> Any:
    """Whom a message is for, where the call says so itself."""
    said = (place.get("recipient") for place in (call.template_data, call.body, call.data))
    return next((each for each in said if each is not None), None)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
