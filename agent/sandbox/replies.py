"""What goes back over the wire, and how: whole, drop by drop, cut short, or not at all."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.errors import AgentError

PIECE_BYTES = 65536
BODYLESS = frozenset({204, 304})  # HTTP allows no body there


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a Base service."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"
    delivered: bool = False  # this call put a message into the outbox
    pad_to: int = 0  # the JSON object grows by a `padding` field to this many bytes
    drip_seconds: float = 0.0  # before every single byte
    cut_short: bool = False  # promise more bytes than are sent, then close
    chunked: bool = False  # promise nothing: the body comes in chunks
    hang_up: bool = False  # close without any reply


class Refused(AgentError):
    """A call that is answered with an error; no input may end as a 500."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.reply = json_reply({"success": False, "error": message}, status, headers=headers)


def json_reply(
    payload: Mapping[str, Any],
    status: int = 200,
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    delivered: bool = False,
) -> Reply:
    """A JSON object as a reply; ASCII only, so that a lone surrogate cannot break it."""
    body = json.dumps(payload, separators=(",", ":")).encode("ascii")
    return Reply(status, body, headers, delivered=delivered)


def body_length(reply: Reply) -> int:
    """How many bytes `body_pieces` yields."""
    return sum(map(len, _padding_frame(reply))) + _fill(reply) if reply.pad_to else len(reply.body)


def body_pieces(reply: Reply) -> Iterator[bytes]:
    """The body in pieces: single bytes when it drips, and never all of a huge one at once."""
    step = 1 if reply.drip_seconds else PIECE_BYTES
    if not reply.pad_to:
        yield from _sliced(reply.body, step)
        return
    head, tail = _padding_frame(reply)
    yield from _sliced(head, step)
    whole, rest = divmod(_fill(reply), step)
    filler = b"x" * step
    for _ in range(whole):
        yield filler
    if rest:
        yield filler[:rest]
    yield from _sliced(tail, step)


def _padding_frame(reply: Reply) -> tuple[bytes, bytes]:
    """What stands around the padding: the object without its last brace, and the end."""
    return reply.body[:-1] + b',"padding":"', b'"}'


def _fill(reply: Reply) -> int:
    return max(0, reply.pad_to - sum(map(len, _padding_frame(reply))))


def _sliced(data: bytes, step: int) -> Iterator[bytes]:
    return (data[start : start + step] for start in range(0, len(data), step))
