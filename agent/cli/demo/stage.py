"""Where the demo plays: a temporary folder, servers, the sandbox, a bridge and workers."""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, chdir
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.cli.demo.verdict import Seen
from agent.cli.opened import Opened, opened
from agent.cli.system.commands import Command, bridge, workers
from agent.cli.system.readiness import wait_until_ready
from agent.cli.system.sandbox import Sandbox
from agent.cli.system.surroundings import variables_of_ours
from agent.embedded import EmbeddedServers, Handle, Process, Supervisor
from agent.errors import EmbeddedServerFailed
from agent.services import BUILT_IN

THREADS = 16
"""Of a worker process: enough, and a backlog is left in which priority counts."""
READY_TIMEOUT = timedelta(seconds=60)
WORKER_GRACE = timedelta(seconds=22)


class Stage:
    """Everything that the demo needs; in the environment of this process nothing else counts.

    Args:
        folder: for data and logs; it is there, and empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = secrets.token_urlsafe(16)
        self._sandbox = Sandbox(folder / "sandbox", key=self._key)
        self._supervisor = Supervisor()
        self._stack = ExitStack()
        self._opened: Opened | None = None

    @property
    def opened(self) -> Opened:
        """Its settings and servers."""
        assert self._opened is not None
        return self._opened

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(chdir(self._folder))  # away from any `.env`
            self._forget_environment()
            sandbox = self._supervisor.start(self._sandbox.process())
            stack.callback(self._supervisor.stop, sandbox)
            servers = stack.enter_context(
                EmbeddedServers(self._folder / "servers", supervisor=self._supervisor)
            )
            self._set_environment(
                {
                    "MONGODB_URI": servers.mongodb_uri,
                    "REDIS_URL": servers.redis_url,
                    **self._sandbox.wait(sandbox),
                }
            )
            self._opened = stack.enter_context(opened())
            self._opened.repository.create_indexes()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def start_processes(self) -> None:
        """Start a bridge and a worker for each service; they come up by themselves."""
        services = self.opened.settings.registry.values()
        commands = [bridge(), *workers(services, threads=THREADS)]
        handles = [self._supervisor.start(self._process(command)) for command in commands]
        self._stack.callback(self._stop_processes, handles)

    def wait_for_processes(self) -> None:
        """Wait until all of them work.

        Raises:
            EmbeddedServerFailed: one does not.
        """
        found = self.opened
        missing = wait_until_ready(
            found.settings, found.repository, found.client, timeout=READY_TIMEOUT
        )
        if missing:
            logs = self._folder / "logs"
            raise EmbeddedServerFailed(f"still missing: {', '.join(missing)}; see {logs}")

    def seen(self) -> Seen:
        """What the sandbox saw: work calls, and what it delivered."""
        calls = _lines(self._sandbox.folder, "calls-*.jsonl")
        deliveries = _lines(self._sandbox.folder / "outbox", "*.jsonl")
        return Seen(
            calls=Counter(
                str(call["idempotency_key"]) for call in calls if call["idempotency_key"]
            ),
            deliveries=Counter(str(each["idempotency_key"]) for each in deliveries),
        )

    def _process(self, command: Command) -> Process:
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        return Process(
            name=command.name,
            command=command.arguments,
            log_path=logs / f"{command.name}.log",
        )

    def _stop_processes(self, handles: list[Handle]) -> None:
        self._supervisor.stop(*handles[1:], grace=WORKER_GRACE)
        self._supervisor.stop(handles[0])

    def _forget_environment(self) -> None:
        for name in variables_of_ours(list(os.environ)):
            del os.environ[name]

    def _set_environment(self, variables: dict[str, str]) -> None:
        os.environ.update(variables)
        for service in BUILT_IN:
            os.environ[f"{service.variable_prefix}API_KEY"] = self._key


def _lines(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob(pattern)):
        for line in file.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
