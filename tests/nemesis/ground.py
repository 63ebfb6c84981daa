"""What a plan runs on: servers of its own, a line of real processes, a proxy on each of their ways.

A *slot* is the place of one process: whoever stands in it has the same ways to the servers, and
when it dies or is replaced another one takes its place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from agent.embedded.mongodb import MongoDB, find_mongodb
from agent.embedded.redis import Redis, find_redis
from agent.embedded.server import Server
from tests.faults.line import Line
from tests.faults.processes import Running
from tests.faults.proxy import Proxy
from tests.nemesis.asks import SERVICES
from tests.nemesis.drawn_faults import LEASE_SECONDS
from tests.nemesis.plan import Plan
from tests.servers import running

TIMEOUT_SECONDS = 5
THREADS = 12
STARTED = ("bridge.started", "worker.started")
SETTINGS = {
    "AGENT_LEASE": f"{LEASE_SECONDS:g}",
    **{f"{service.env}_BASE_TIMEOUT": str(TIMEOUT_SECONDS) for service in SERVICES.values()},
}


class Slot:
    """The place of one process.

    Args:
        mongodb, redis: its ways.
        launch: starts a process that takes them.
    """

    def __init__(
        self, name: str, mongodb: Proxy, redis: Proxy, launch: Callable[[], Running]
    ) -> None:
        self.name, self.mongodb, self.redis = name, mongodb, redis
        self._launch = launch
        self.before: list[Running] = []
        """Those that were replaced, and have to end well by themselves."""
        self.running = launch()

    def start(self) -> None:
        """Put another process in, without waiting for it."""
        self.running = self._launch()

    def replace(self) -> Running:
        """Put another process in beside the one that is to leave; that one."""
        leaving = self.running
        self.before.append(leaving)
        self.start()
        return leaving


def has_started(process: Running) -> bool:
    """Whether it got so far that it knows how to stop."""
    return any(line.get("event") in STARTED for line in process.lines())


class Ground:
    """Everything that faults and work are done to."""

    def __init__(self, line: Line, mongodb: Server, redis: Server, slots: dict[str, Slot]) -> None:
        self.line, self.mongodb, self.redis, self.slots = line, mongodb, redis, slots

    def ways(self, target: str) -> list[Proxy]:
        """The proxies that a name such as `worker 0 to redis` or `bridges to mongodb` means."""
        whose, _, server = target.partition(" to ")
        every = whose.removesuffix("s") if whose.endswith("s") else None
        slots = [
            slot
            for name, slot in self.slots.items()
            if (name == whose if every is None else name.startswith(every))
        ]
        return [slot.mongodb if server == "mongodb" else slot.redis for slot in slots]

    @property
    def reachable(self) -> bool:
        """Whether both servers run, so that asking them does not wait for nothing."""
        return self.mongodb.alive and self.redis.alive


@contextmanager
def ground_of(plan: Plan, folder: Path) -> Iterator[Ground]:
    """Both servers, the line and its ways, all of it ended and deleted afterwards but the logs."""
    with ExitStack() as stack:
        mongodb = stack.enter_context(_server(MongoDB(find_mongodb(), durable=True), folder))
        redis = stack.enter_context(_server(Redis(find_redis(), appendonly=True), folder))
        line = stack.enter_context(Line(folder, mongodb.url, redis.url, SETTINGS))
        stack.callback(_start_again, mongodb, redis)  # the line leaves them tidy
        slots = {name: _slot(plan, name, line, stack) for name in _names(plan)}
        for slot in slots.values():
            slot.running.wait_for_start(partial(has_started, slot.running))
        yield Ground(line, mongodb, redis, slots)


@contextmanager
def _server(program: MongoDB | Redis, folder: Path) -> Iterator[Server]:
    """A server that is killed in the end: what it holds is of no use to anybody any more."""
    with running(program, folder) as server:
        try:
            yield server
        finally:
            server.kill()


def _start_again(*servers: Server) -> None:
    for server in servers:
        if not server.alive:
            server.start()


def _names(plan: Plan) -> list[str]:
    bridges = [f"bridge {number}" for number in range(plan.bridges)]
    return [*bridges, *(f"worker {number}" for number in range(len(plan.workers)))]


def _slot(plan: Plan, name: str, line: Line, stack: ExitStack) -> Slot:
    mongodb = stack.enter_context(Proxy.before(line.mongodb_uri))
    redis = stack.enter_context(Proxy.before(line.redis_url))
    uri, url = mongodb.through(line.mongodb_uri), redis.through(line.redis_url)
    kind, _, number = name.partition(" ")

    def launch() -> Running:
        if kind == "bridge":
            command = (sys.executable, "-m", "bridge")
            ways = {"MONGODB_URI": uri, "REDIS_URL": url}
            return line.processes.start(name.replace(" ", "-"), *command, environment=ways)
        services = [SERVICES[each] for each in plan.workers[int(number)]]
        return line.launch_worker(*services, threads=THREADS, MONGODB_URI=uri, REDIS_URL=url)

    return Slot(name, mongodb, redis, launch)
