"""What a form sends: a few short fields, read to the end before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from agent.errors import RequestInvalid

MOST_BYTES = 64 * 1024
MOST_FIELDS = 50
KIND = "application/x-www-form-urlencoded"

Form = Mapping[str, str]


async def read_form(request: Request) -> Form:
    """The fields of a form; of one that stands there twice the last.

    Raises:
        RequestInvalid: it is none, or too large.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != KIND:
        raise RequestInvalid("a form is expected")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise RequestInvalid("the form is too large")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as exc:
        raise RequestInvalid("the form cannot be read") from exc
    return dict(pairs)
