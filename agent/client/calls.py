"""What the client asks for, and how that is said in HTTP. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote
from uuid import uuid4

from agent.client.fields import body_of, to_json

Kind = Literal["requests", "batches"]
JSON = {"Content-Type": "application/json"}
SLACK_SECONDS = 15.0
"""How much longer an answer may take than it was asked to wait."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Store a request; its body has an idempotency key in any case."""

    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Show:
    """Tell what has become of one."""

    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Tell it once it is final, or after so many seconds."""

    kind: Kind
    id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """Cancel it, or begin it anew."""

    kind: Kind
    id: str
    verb: Literal["cancel", "retry"]
    fresh_key: bool | None = None


Call = Submit | Show | Wait | Change


@dataclass(frozen=True, slots=True)
class Upload:
    """Store a batch.

    Args:
        body: all but its items, with `mode` and an idempotency key.
        items: read once, whatever they are.
    """

    body: Mapping[str, Any] = field(repr=False)
    items: Any = field(repr=False)


Params = Mapping[str, str | float]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A call in HTTP.

    Args:
        seconds: that its answer may take at least, whatever the client's timeout is.
    """

    method: str
    path: str
    params: Params = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    seconds: float = 0.0


def submission(fields: Mapping[str, Any]) -> Submit:
    """The submission of a request, with an idempotency key of its own where it has none.

    Raises:
        RequestRefused: a time without a zone.
    """
    return Submit(_with_key(fields))


def batch(
    items: Iterable[Any] | AsyncIterable[Any], mode: str, fields: Mapping[str, Any]
) -> Upload:
    """A batch of these items, likewise.

    Raises:
        RequestRefused: a time without a zone.
    """
    return Upload({**_with_key(fields), "mode": mode}, items)


def _with_key(fields: Mapping[str, Any]) -> dict[str, Any]:
    body = body_of(fields)
    return {**body, "idempotency_key": body.get("idempotency_key") or new_key()}


def new_key() -> str:
    """An idempotency key that nobody else draws."""
    return f"client-{uuid4().hex}"


def key_of(call: Call | Upload) -> str | None:
    """The idempotency key of what is stored."""
    return str(call.body["idempotency_key"]) if isinstance(call, Submit | Upload) else None


def in_http(call: Call) -> HttpRequest:
    """A call as it is sent.

    Raises:
        RequestRefused: it holds something that JSON does not have.
    """
    match call:
        case Submit(body):
            return HttpRequest(
                "POST", "/v1/requests", headers=JSON, content=to_json(body, "the request")
            )
        case Show(kind, id):
            return HttpRequest("GET", path_of(kind, id))
        case Wait(kind, id, seconds):
            return HttpRequest(
                "GET", path_of(kind, id, "result"), {"wait": round(seconds, 3)},
                seconds=seconds + SLACK_SECONDS,
            )  # fmt: skip
        case Change(kind, id, verb, None):
            return HttpRequest("POST", path_of(kind, id, verb))
        case Change(kind, id, verb, fresh_key):
            content = to_json({"fresh_key": fresh_key}, "the choice")
            return HttpRequest("POST", path_of(kind, id, verb), headers=JSON, content=content)


def items_in_http(id: str) -> HttpRequest:
    """The items of a batch as they are asked for."""
    return HttpRequest("GET", path_of("batches", id, "results"), {"format": "jsonl"})


def path_of(kind: Kind, id: str, what: str = "") -> str:
    """The path of one, or of something of it."""
    return f"/v1/{kind}/{quote(id, safe='')}" + (f"/{what}" if what else "")
