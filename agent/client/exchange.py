"""What one exchange over HTTP comes to: what both ways of HTTP share, none of it waiting."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from agent.client.address import Address
from agent.client.calls import HttpRequest
from agent.client.errors import (
    NotConfigured,
    Unavailable,
    UnexpectedAnswer,
)
from agent.client.problems import error_of_reply, read_object
from agent.client.tries import Tries

CONNECT_SECONDS = 10.0
SILENT_SECONDS = 45.0
"""An event stream sends a comment every 15 s; one that is silent for so long is broken."""
GRACE_SECONDS = 2.0
"""How much longer than patience the last try may take."""
UPLOAD_SECONDS = 300.0
"""The answer to an upload comes only when all of its rows are stored."""
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
PASSING = (httpx.TransportError, httpx.DecodingError)
"""What another try may mend."""

LISTENING = httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
UPLOADING = httpx.Timeout(UPLOAD_SECONDS, connect=CONNECT_SECONDS)


def options_of(address: Address) -> dict[str, Any]:
    """How an httpx client is made; of all that is kept, its headers alone have the key."""
    headers = {"Accept": "application/json", "User-Agent": "agent-client"}
    if address.api_key is not None:
        headers["Authorization"] = f"Bearer {address.api_key}"
    return {
        "base_url": address.url,
        "headers": headers,
        # as many as there are callers: each waits up to 25 s for its result
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20),
    }


def timeout_of(asked: HttpRequest, seconds: float, tries: Tries) -> httpx.Timeout:
    """How long one try may take: what it needs, if there is patience for that."""
    longest = min(max(seconds, asked.seconds), max(tries.left, 0.0) + GRACE_SECONDS)
    return httpx.Timeout(longest, connect=min(CONNECT_SECONDS, longest))


def after_error(tries: Tries, exc: httpx.RequestError) -> float:
    """How long to wait after a try that failed.

    Raises:
        NotConfigured: the server's certificate is refused.
        Unavailable: there is no time left.
    """
    if _is_certificate(exc):
        raise NotConfigured("the server's certificate is refused; see the cause") from exc
    reason = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    try:
        return tries.after_error(reason, sent=not isinstance(exc, NOT_SENT))
    except Unavailable as last:
        raise last from exc


def _is_certificate(exc: BaseException | None) -> bool:
    while exc is not None:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def after_reply(tries: Tries, reply: httpx.Response) -> float | None:
    """How long to wait after this reply; None if it is the one."""
    return tries.after_reply(reply.status_code, reply.content, reply.headers.get("retry-after"))


def read_answer(reply: httpx.Response, where: str) -> dict[str, Any]:
    """The JSON object of a success.

    Raises:
        AgentClientError: it is none.
    """
    answer = read_object(reply.content) if reply.is_success else None
    if answer is not None:
        return answer
    if reply.is_success:
        raise UnexpectedAnswer(f"{where} answered no JSON; is this the agent?",
                               status=reply.status_code)  # fmt: skip
    raise error_of_reply(reply.status_code, reply.content, where)
