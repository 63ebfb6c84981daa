"""No body over a limit: counted as it comes, whatever its length is said to be."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api import problem_kinds as kinds
from agent.api.problems import problem

MAX_BODY_BYTES = 16 * 1024 * 1024
"""A context holds 15 MB."""


class BodyLimit:
    """Ends a request whose body grows over the limit of its path.

    Args:
        others: limits of their own, by the beginning of the path.
    """

    def __init__(
        self, app: ASGIApp, most: int = MAX_BODY_BYTES, others: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._most = most
        self._others = dict(others or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._limit(scope["path"])
        told = f"at most {most:,} bytes are taken"
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            await problem(kinds.TOO_LARGE, told)(scope, receive, send)
            return
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > most:
                raise HTTPException(413, told)
            return message

        await self._app(scope, counted, send)

    def _limit(self, path: str) -> int:
        fitting = (limit for start, limit in self._others.items() if path.startswith(start))
        return next(fitting, self._most)
