"""The process type `web`, as a part of a measurement, and whoever asks it over one connection."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agent.embedded import Handle
from agent.embedded.ports import HOST, accepts, free_port
from benchmarks.bench import Bench, BenchmarkFailed, Room, Service
from benchmarks.contenders import environment
from benchmarks.processes import family, megabytes, peak_megabytes

SECRET = "benchmark"
START_SECONDS = 60
HEADERS = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
TEMPLATE = {
    "service_type": "GENERATIVE",
    "service_template": {"prompt": "Write a letter to {{name}}.", "temperature": 0.2},
}


@dataclass(frozen=True, slots=True)
class Web:
    """A running `web`."""

    port: int
    handle: Handle

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self.port, timeout=600)

    @property
    def megabytes(self) -> float:
        """The memory that it holds now (its resident set)."""
        return self._of_all(megabytes)

    @property
    def peak_megabytes(self) -> float:
        """The most that it has held at once."""
        return self._of_all(peak_megabytes)

    def _of_all(self, measure: Any) -> float:
        pids = family(self.handle.pid) if self.handle.pid else []
        found = [each for pid in pids if (each := measure(pid)) is not None]
        return max(found, default=float("nan"))


@contextmanager
def running_web(
    bench: Bench, room: Room, service: Service, more: Mapping[str, str] | None = None
) -> Iterator[Web]:
    """A `web` that answers, with more settings if there are any."""
    port = free_port()
    env = environment(room, service, 1) | {
        "PORT": str(port),
        "AGENT_API_KEYS": f"bench:admin:{SECRET}",
        "AGENT_API_RATE_LIMIT": "100000",
        **(more or {}),
    }
    handle = bench.start("web", (sys.executable, "-m", "agent.api"), env)
    try:
        bench.wait_until(lambda: accepts(port), "web answers", START_SECONDS, (handle,))
        yield Web(port, handle)
    finally:
        bench.stop(handle)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] = HEADERS,
) -> Any:
    """The answer to one request.

    Raises:
        BenchmarkFailed: it is no success.
    """
    connection.request(method, path, body=body, headers=dict(headers))
    reply = connection.getresponse()
    content = reply.read()
    if reply.status >= 300:
        raise BenchmarkFailed(
            f"{method} {path.partition('?')[0]}: {reply.status} {content[:300]!r}"
        )
    return json.loads(content)
