"""Who may come in: the key of each call, how often it may ask, and what its scopes allow.

The key is looked at before anything of the body is read.
"""

from __future__ import annotations

import math
from ipaddress import ip_address
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.api import keys as keys_
from agent.api import problem_kinds as kinds
from agent.api.keys import ANYBODY, Caller, Keys
from agent.api.problems import Problem, problem
from agent.api.rate_limit import RateLimit

API = "/v1/"
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_bearer = HTTPBearer(auto_error=False, description="A secret of `AGENT_API_KEYS`.")


class Gate:
    """Lets nobody into the API but those who hold a key, each so often."""

    def __init__(self, app: ASGIApp, keys: Keys, limit: RateLimit, *, is_open: bool = True) -> None:
        """
        Args:
            is_open: whether this machine may do everything while there are no keys.
        """
        self._app = app
        self._is_open = is_open
        self._keys = keys
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(API):
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Why it may not come in; None if it may. Its caller is then known."""
        headers = dict(scope["headers"])
        caller: Caller | None = ANYBODY
        if self._keys:
            caller = self._keys.holder_of(_secret(headers.get(b"authorization", b"")))
        elif not self._is_open:
            caller = None
        elif not is_local(scope, headers.get(b"host", b"")):
            return problem(kinds.NOT_LOCAL)
        if caller is None:
            return problem(kinds.KEY_NEEDED, headers={"WWW-Authenticate": "Bearer"})
        seconds = self._limit.take(caller.name)
        if seconds > 0:
            return problem(kinds.TOO_MANY, headers={"Retry-After": str(math.ceil(seconds))})
        scope.setdefault("state", {})["caller"] = caller
        return None


def _secret(authorization: bytes) -> bytes:
    scheme, _, secret = authorization.partition(b" ")
    return secret.strip() if scheme.lower() == b"bearer" else b""


def is_local(scope: Scope, host: bytes) -> bool:
    """From this machine, and meant for it: a page of the web may have its own name lead here."""
    client = scope.get("client")
    try:
        near = client is not None and ip_address(client[0]).is_loopback
    except ValueError:
        return False
    name = host.decode("latin-1").lower()
    name = name if name.endswith("]") else name.rsplit(":", 1)[0]
    return near and name in LOCAL_NAMES


def needs(scope: keys_.Scope) -> Any:
    """A dependency: the caller, who has this scope."""

    async def caller_of(request: Request, _shown: Annotated[Any, Depends(_bearer)]) -> Caller:
        caller: Caller = request.state.caller
        if scope not in caller.scopes:
            raise Problem(kinds.SCOPE_MISSING, f"the key {caller.name!r} lacks the scope `{scope}`")
        return caller

    return Depends(caller_of)


Reader = Annotated[Caller, needs(keys_.Scope.READ)]
Submitter = Annotated[Caller, needs(keys_.Scope.SUBMIT)]
Operator = Annotated[Caller, needs(keys_.Scope.OPERATE)]
Admin = Annotated[Caller, needs(keys_.Scope.ADMIN)]
