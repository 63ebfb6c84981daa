"""`/healthz` says that the process lives, `/readyz` whether what it needs answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import redis
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from agent.errors import AgentError
from agent.logs import mask_secrets
from agent.projections.connection import translate_redis_errors

CACHE_SECONDS = 2.0
"""However many ask, MongoDB and Redis are asked once in that time."""

FAILED_SECONDS = 1.0
"""For so long it is not asked again what has just failed: many wait, and each try takes seconds."""

Finding = dict[str, Any]
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class _Held(Generic[_Value]):
    """What was computed at that turn, or the error that came of it; good until then."""

    turn: int
    until: float
    value: list[_Value]
    error: AgentError | None


class Cached(Generic[_Value]):
    """A function's value, computed anew after some seconds, by one thread while others wait."""

    def __init__(
        self,
        compute: Callable[[], _Value],
        *,
        seconds: float = CACHE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compute = compute
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held: _Held[_Value] | None = None
        self._turn = 0

    def __call__(self) -> _Value:
        """The value.

        Raises:
            AgentError: a server does not answer; that is told for a moment without asking it again.
        """
        asked = self._turn
        with self._lock:
            held = self._held
            if held is None or held.turn < asked or self._monotonic() >= held.until:
                held = self._held = self._ask()
        if held.error is not None:
            raise held.error
        return held.value[0]

    def forget(self) -> None:
        """Compute it anew for whoever asks from now on. Waits for nobody."""
        self._turn += 1

    def _ask(self) -> _Held[_Value]:
        turn, error, value = self._turn, None, list[_Value]()
        try:
            value.append(self._compute())
        except AgentError as exc:
            error = exc
        seconds = self._seconds if error is None else min(self._seconds, FAILED_SECONDS)
        return _Held(turn, self._monotonic() + seconds, value, error)


class HealthSource(Protocol):
    """What health asks of the repository; it raises an `AgentError` when MongoDB is away."""

    def ping(self) -> object:
        """Ask MongoDB for a sign of life."""

    def leader(self) -> Mapping[str, Any] | None:
        """The bridge that leads now, or None."""


class Health:
    """Looks at each dependency, one after the other."""

    def __init__(self, repository: HealthSource, client: redis.Redis) -> None:
        self._repository = repository
        self._client = client
        self._needed = {"mongodb": self._ping_mongodb, "redis": self._ping_redis}

    def findings(self) -> dict[str, Finding]:
        """Each dependency by name: `ok`, and why not. The bridge's does not decide readiness."""
        findings = {name: _finding(ping) for name, ping in self._needed.items()}
        bridge = _finding(self._check_leader) if findings["mongodb"]["ok"] else {"ok": None}
        return {**findings, "bridge": {**bridge, "informational": True}}

    def _ping_mongodb(self) -> None:
        self._repository.ping()

    def _ping_redis(self) -> None:
        with translate_redis_errors():
            self._client.ping()

    def _check_leader(self) -> None:
        if self._repository.leader() is None:
            raise AgentError("no bridge leads")


def _finding(check: Callable[[], None]) -> Finding:
    try:
        check()
    except AgentError as exc:
        return {"ok": False, "error": mask_secrets(str(exc))}
    return {"ok": True}


def health_router(health: Health) -> APIRouter:
    """The two routes. `/readyz` may wait, so it runs in a thread; `/healthz` needs none, and so
    answers when all of them wait for MongoDB."""
    router = APIRouter()
    findings = Cached(health.findings)

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    def readyz() -> JSONResponse:
        found = findings()
        ready = all(finding["ok"] for finding in found.values() if "informational" not in finding)
        return JSONResponse(
            {"ready": ready, "dependencies": found}, status_code=200 if ready else 503
        )

    return router
