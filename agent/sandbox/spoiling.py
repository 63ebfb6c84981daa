"""What a fault makes of a reply: another status, another body, another way of sending it."""

import asyncio
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from agent.sandbox.faults import NO_FAULT, Fault, retry_after_header
from agent.sandbox.replies import Reply, json_reply

GARBAGE = b"<!DOCTYPE html><html><body><h1>It works!</h1><p>{not json]</p></body></html>"


def error_reply(fault: Fault, path: str) -> Reply | None:
    """The redirect or the error status asked for; `None` leaves the call to the honest job."""
    if fault.redirect:
        target = path if fault.redirect is True else fault.redirect
        return Reply(302, b"", ((b"location", target.encode("ascii")),))
    status = fault.error_status
    if status is None:
        return None
    return json_reply({"success": False, "error": f"status {status} on request"}, status)


def unsuccessful(fault: Fault, request_id: str | int | None) -> Reply:
    """A reply whose status is fine and whose body says that it failed."""
    payload: dict[str, Any] = {"success": False, "request_id": request_id}
    payload["error"] = "failed on request"
    if fault.retryable is not None:
        payload["retryable"] = fault.retryable
    return json_reply(payload)


async def spoiled(reply: Reply, fault: Fault) -> Reply:
    """The reply with the body, the headers and the way of sending that the fault asks for."""
    if fault == NO_FAULT:
        return reply
    if fault.retry_after is not None:
        value = retry_after_header(fault.retry_after, datetime.now(UTC)).encode("ascii")
        reply = replace(reply, headers=(*reply.headers, (b"retry-after", value)))
    reply = await _with_another_body(reply, fault)
    return replace(
        reply,
        drip_seconds=fault.drip_seconds_per_byte,
        cut_short=fault.cut_short,
        chunked=fault.chunked,
    )


async def _with_another_body(reply: Reply, fault: Fault) -> Reply:
    if fault.garbage:
        return replace(reply, body=GARBAGE, content_type=b"text/html; charset=utf-8")
    if fault.deep:
        body = b'{"success":true,"deep":' + b"[" * fault.deep + b"]" * fault.deep + b"}"
        return replace(reply, body=body)
    if fault.gzip_bomb_bytes:
        body = await asyncio.to_thread(gzip_bomb, fault.gzip_bomb_bytes)
        headers = (*reply.headers, (b"content-encoding", b"gzip"))
        return replace(reply, body=body, headers=headers)
    if fault.huge_bytes and reply.body:
        return replace(reply, pad_to=fault.huge_bytes)
    return reply


@lru_cache(maxsize=4)
def gzip_bomb(size: int) -> bytes:
    """A gzip body that unpacks to a valid JSON object of about `size` bytes.

    Kept, because a gigabyte takes seconds to pack, and is a megabyte then.
    """
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(b'{"success":true,"padding":"')]
    filler = b"x" * (1 << 20)
    whole, rest = divmod(size, len(filler))
    packed.extend(packer.compress(filler) for _ in range(whole))
    packed.append(packer.compress(filler[:rest] + b'"}'))
    packed.append(packer.flush())
    return b"".join(packed)
