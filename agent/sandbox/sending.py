"""Sends one reply over ASGI, the misbehaving ones too."""

import asyncio
import hashlib

from starlette.types import Receive, Scope, Send

from agent.sandbox.replies import BODYLESS, Reply, body_length, body_pieces

MISSING_BYTES = 512  # a reply that is cut short promises this many bytes more than it sends


async def send_reply(reply: Reply, scope: Scope, receive: Receive, send: Send) -> str | None:
    """Send it, and return the SHA-256 of the body bytes sent; `None` when there was no reply.

    The server puts the connection's transport into the scope's state (see `server.Connection`):
    ASGI itself has no way to close a connection without a reply.
    """
    if reply.hang_up:
        await _close(scope, receive)
        return None
    bodyless = reply.status in BODYLESS
    await send(_start(reply, 0 if bodyless else body_length(reply)))
    if bodyless:
        await send({"type": "http.response.body", "body": b""})
        return hashlib.sha256().hexdigest()
    if reply.drip_seconds or reply.cut_short or reply.pad_to:
        return await _send_in_pieces(reply, scope, receive, send)
    await send({"type": "http.response.body", "body": reply.body})
    return hashlib.sha256(reply.body).hexdigest()


def _start(reply: Reply, length: int) -> dict[str, object]:
    promised = length + (MISSING_BYTES if reply.cut_short else 0)
    headers = [(b"content-type", reply.content_type), *reply.headers]
    if not reply.chunked or reply.status in BODYLESS:
        headers.append((b"content-length", str(promised).encode("ascii")))
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def _send_in_pieces(reply: Reply, scope: Scope, receive: Receive, send: Send) -> str:
    transport: asyncio.Transport = scope["state"]["transport"]
    digest = hashlib.sha256()
    for piece in body_pieces(reply):
        if reply.drip_seconds:
            await asyncio.sleep(reply.drip_seconds)
        if transport.is_closing():  # the caller lost patience
            return digest.hexdigest()
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        digest.update(piece)
    if reply.cut_short:
        await _close(scope, receive)
    else:
        await send({"type": "http.response.body", "body": b""})
    return digest.hexdigest()


async def _close(scope: Scope, receive: Receive) -> None:
    """Close the connection and wait until the server knows, or it would send its own reply."""
    transport: asyncio.Transport = scope["state"]["transport"]
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
