"""Processes that are said to run: workers with what they have in hand, and a bridge that leads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import redis

from agent.models import Document
from agent.projections.bridges import Bridges, BridgeView, DutyView
from agent.projections.presence import Presence, Running, WorkerView
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from scripts.screenshots.backlog import VANISHED_ID
from scripts.screenshots.making import worker_of

BEAT_SECONDS = 2.0
LEASE = timedelta(seconds=15)
LEADER, STANDBY = "bridge:bridge-6d4:31:9c0f22ab", "bridge:bridge-a18:29:77e0b4d1"
DUTIES = (
    ("look", 0.3, 0.0021, 1.0), ("promote", 0.3, 0.0043, None), ("adopt", 4.1, 0.0016, 30.0),
    ("admit", 0.3, 0.0118, None), ("settle", 0.8, 0.0064, 1.0), ("batches", 419.0, 1.32, None),
    ("schedules", 0.8, 0.0019, 1.0), ("rescue", 3.2, 0.0037, 5.0), ("recovery", 4.4, 0.0092, 5.0),
    ("sweep", 11.0, 0.0024, 30.0), ("views", 0.8, 0.0031, 1.0), ("flush", 1.2, 0.0009, 2.0),
)  # fmt: skip
"""What the bridge does: how many seconds ago, how long it took, how often it comes by itself."""


def workers(running: Sequence[Document], now: datetime) -> list[WorkerView]:
    """Four worker processes, of which one is told to end."""
    return [
        _worker("GENERATIVE", 1, 16, running, now),
        _worker("GENERATIVE", 2, 16, running, now, draining=True),
        _worker("ANALYSIS", 1, 32, running, now),
        _worker("COMMUNICATION", 1, 16, running, now),
    ]


def _worker(
    service: str,
    process: int,
    threads: int,
    running: Sequence[Document],
    now: datetime,
    **more: Any,
) -> WorkerView:
    owner = worker_of(service, process)
    mine = [each for each in running if each["lease"]["owner"] == owner]
    _, host, pid, _ = owner.split(":")
    return WorkerView(
        worker_id=owner, service_types=(service,), threads=threads, busy=len(mine), host=host,
        pid=int(pid), version=version("agent"), started_at=(now - timedelta(hours=7)).isoformat(),
        running=[Running(str(each["_id"]), service,
                         (now - each["started_at"]).total_seconds()) for each in mine],
        **{"draining": False, **more},
    )  # fmt: skip


def write_gone(client: redis.Redis, settings: Settings, now: datetime) -> None:
    """A worker that was killed some minutes ago, with what it had in hand."""
    view = _worker("COMMUNICATION", 7, 16, (), now)
    held = Running(VANISHED_ID, "COMMUNICATION", 2.0)
    Presence(client, settings.namespace).beat(replace(view, running=[held], busy=1))
    seconds, _ = client.time()
    client.zadd(f"{settings.namespace}:workers", {view.worker_id: int(seconds) - 312})


def bridges(now: datetime) -> list[BridgeView]:
    """One that leads, and one that stands by."""
    duties = [DutyView(name, age, took, every) for name, age, took, every in DUTIES]
    return [_bridge(LEADER, now, duties), _bridge(STANDBY, now)]


def _bridge(owner: str, now: datetime, duties: Sequence[DutyView] = ()) -> BridgeView:
    _, host, pid, _ = owner.split(":")
    return BridgeView(
        owner=owner, host=host, pid=int(pid), version=version("agent"), leads=bool(duties),
        started_at=(now - timedelta(hours=7)).isoformat(), listens=True, watches=bool(duties),
        duties=list(duties),
    )  # fmt: skip


@contextmanager
def alive(
    views: Sequence[WorkerView], repository: MongoContextRepository, client: redis.Redis
) -> Iterator[None]:
    """Have them give their signs of life."""
    ended = threading.Event()
    namespace = repository.settings.namespace
    presence, of_bridges = Presence(client, namespace), Bridges(client, namespace)
    leading = bridges(repository.now())

    def beat() -> None:
        while True:
            repository.lead(LEADER, LEASE)
            for view in views:
                presence.beat(view)
            for each in leading:
                of_bridges.beat(each)
            if ended.wait(BEAT_SECONDS):
                return

    repository.lead(LEADER, LEASE)
    since = repository.now() - timedelta(hours=7)
    repository.database["agent_locks"].update_one({"_id": "bridge"}, {"$set": {"since": since}})
    thread = threading.Thread(target=beat, name="alive")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
