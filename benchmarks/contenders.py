"""The four that do the same work: ours, a bare loop, Celery, and the poller of old.

Each is started as its users would start it, with two processes of 32 threads (the poller, which
knows neither, as it comes).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol

from agent.embedded import Handle
from agent.projections.doorbell import ring
from agent.projections.presence import Presence
from benchmarks.bench import PROJECT, Bench, Room, Service
from benchmarks.celery_publishing import Publisher

PROCESSES = 2
THREADS = 32
START_SECONDS = 60.0


class Contender(Protocol):
    """One way to carry out contexts."""

    @property
    def name(self) -> str: ...

    @property
    def indexes(self) -> Sequence[str] | None:
        """Those of ours that it has a use for; each costs every write something. None: all."""

    def start(self, bench: Bench, room: Room, service: Service) -> tuple[Handle, ...]:
        """Start its processes, and wait for what can be waited for."""

    def tell(self, room: Room, ids: Sequence[str]) -> None:
        """Say that these contexts may be carried out, as a producer of it would."""


class Line:
    """Ours: the bridge and worker processes, by the lines of the Procfile.

    Args:
        processes, threads: worker processes and the threads of each.
        mongodb_uri: where the processes shall believe MongoDB is; the room's own if None.
    """

    name = "agent"
    indexes: Sequence[str] | None = None

    def __init__(
        self, processes: int = PROCESSES, threads: int = THREADS, mongodb_uri: str | None = None
    ) -> None:
        self._processes = processes
        self._threads = threads
        self._mongodb_uri = mongodb_uri

    def start(self, bench: Bench, room: Room, service: Service) -> tuple[Handle, ...]:
        env = self._environment(room, service)
        bridge = bench.start("bridge", _procfile("bridge"), env)
        workers = [
            bench.start(f"generative-{number}", _procfile("generative"), env)
            for number in range(self._processes)
        ]
        handles = (bridge, *workers)
        presence = Presence(room.redis, room.settings.namespace)
        bench.wait_until(
            lambda: len(presence.live()) == self._processes,
            f"{self._processes} worker processes are alive",
            START_SECONDS + 5 * self._processes,
            handles,
        )
        return handles

    def start_bridge(self, bench: Bench, room: Room, service: Service) -> Handle:
        """One more, that stands by."""
        env = self._environment(room, service)
        return bench.start("bridge-2", _procfile("bridge"), env)

    def _environment(self, room: Room, service: Service) -> dict[str, str]:
        env = environment(room, service, self._threads)
        return env | ({"MONGODB_URI": self._mongodb_uri} if self._mongodb_uri else {})

    def tell(self, room: Room, ids: Sequence[str]) -> None:
        ring(room.redis, room.settings.namespace)


class BareLoop:
    """See `benchmarks.bare_loop`."""

    name = "bare loop"
    indexes: Sequence[str] | None = ("claim",)

    def start(self, bench: Bench, room: Room, service: Service) -> tuple[Handle, ...]:
        module = (sys.executable, "-m", "benchmarks.bare_loop", service.url, str(THREADS))
        env = environment(room, service, THREADS)
        return tuple(bench.start(f"bare-loop-{n}", module, env) for n in range(PROCESSES))

    def tell(self, room: Room, ids: Sequence[str]) -> None:
        """It looks by itself."""


class CeleryWorkers:
    """See `benchmarks.celery_app`.

    Args:
        pipelined: publish in Kombu's batches, where it has them, instead of one by one.
    """

    name = "celery"
    indexes: Sequence[str] | None = ()

    def __init__(self, *, pipelined: bool = True) -> None:
        self._pipelined = pipelined
        self._publisher: Publisher | None = None

    def start(self, bench: Bench, room: Room, service: Service) -> tuple[Handle, ...]:
        pool = ("--pool", "threads", "--concurrency", str(THREADS))
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        env = environment(room, service, THREADS)
        self._publisher = Publisher(room, pipelined=self._pipelined)
        return tuple(
            bench.start(
                f"celery-{number}",
                ("celery", "-A", "benchmarks.celery_app", "worker", "-n", f"w{number}@bench",
                 *pool, *quiet),
                env,
            )
            for number in range(PROCESSES)
        )  # fmt: skip

    def tell(self, room: Room, ids: Sequence[str]) -> None:
        assert self._publisher is not None
        self._publisher.publish(ids)


class Poller:
    """See `benchmarks.poller`."""

    name = "old poller"
    indexes: Sequence[str] | None = ("claim",)

    def start(self, bench: Bench, room: Room, service: Service) -> tuple[Handle, ...]:
        module = (sys.executable, "-m", "benchmarks.poller", service.url)
        return (bench.start("poller", module, environment(room, service, THREADS)),)

    def tell(self, room: Room, ids: Sequence[str]) -> None:
        """It looks by itself."""


def environment(room: Room, service: Service, threads: int) -> dict[str, str]:
    """The settings of section "Settings" of the docs that a process needs."""
    settings = room.settings
    return {
        "MONGODB_URI": settings.mongodb_uri.get_secret_value(),
        "MONGODB_DATABASE": settings.mongodb_database or "",
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "GENERATION_BASE_URL": service.url,
        "ANALYSIS_BASE_URL": service.url,
        "COMMUNICATION_BASE_URL": service.url,
        "AGENT_ENV": "production",
        "AGENT_NAMESPACE": settings.namespace,
        "AGENT_PROCESSES": "1",
        "AGENT_THREADS": str(threads),
    }


def _procfile(process_type: str) -> tuple[str, ...]:
    """The command of a line of the Procfile, by a shell, as platforms run it."""
    text = (PROJECT / "Procfile").read_text()
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return ("sh", "-c", f"exec {lines[process_type].strip()}")
