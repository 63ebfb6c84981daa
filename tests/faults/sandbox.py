"""The three Base services of a line: one process, on ports that it keeps over its restarts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from agent.embedded.ports import HOST, free_port
from agent.services import BUILT_IN, ServiceType
from tests.checker import Call
from tests.faults.processes import Processes, Running


class Sandbox:
    """What the services have seen, and what they are to do wrong."""

    def __init__(self, processes: Processes, folder: Path, api_key: str | None = None) -> None:
        self._processes = processes
        self.folder = folder
        self._ports = {service.env: free_port() for service in BUILT_IN}
        self._api_key = api_key
        self._running: Running | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Where the services are."""
        return {f"{env}_BASE_URL": f"http://{HOST}:{port}" for env, port in self._ports.items()}

    def start(self) -> None:
        """Start it, and wait until all three answer. Its record and its outbox go on."""
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        ports = [f"--{env.lower()}-port={port}" for env, port in self._ports.items()]
        where = ["--data", str(self.folder), "--ready-file", str(ready)]
        key = [] if self._api_key is None else ["--api-key", self._api_key]
        self._running = self._processes.start(
            "sandbox", sys.executable, "-m", "agent.sandbox", *where, *ports, *key
        )
        self._running.wait_for_start(ready.exists)

    def kill(self) -> None:
        """From now on nobody listens there."""
        assert self._running is not None
        self._running.kill()

    def fault(self, service: ServiceType, **fault: Any) -> None:
        """Have every call of a service go wrong in this way."""
        self._switch(service, "PUT", json=fault)

    def heal(self, service: ServiceType) -> None:
        """Have it do its job again."""
        self._switch(service, "DELETE")

    def calls(self, service: ServiceType | None = None) -> list[Call]:
        """Every call that has ended, of one service or of all."""
        services = BUILT_IN if service is None else (service,)
        return [
            call
            for each in services
            for call in _lines(self.folder / f"calls-{each.name.lower()}.jsonl")
        ]

    def delivered(self) -> list[str]:
        """The idempotency key of each message in the outbox, one for each delivery."""
        files = sorted((self.folder / "outbox").glob("*.jsonl"))
        return [line["idempotency_key"] for file in files for line in _lines(file)]

    def _switch(self, service: ServiceType, method: str, **options: Any) -> None:
        headers = {} if self._api_key is None else {"Authorization": f"Bearer {self._api_key}"}
        url = f"http://{HOST}:{self._ports[service.env]}/sandbox/fault"
        httpx.request(method, url, headers=headers, timeout=10, **options).raise_for_status()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file; a last one that is still being written is not there yet."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)
