"""The pages of the dashboard at 20,000 contexts: how soon each is there, and how large it is.

All pages take turns, so that whatever else the machine does hits all alike. Each is asked for by
somebody who has signed in, over one connection, and read to its end; nothing is compressed.
"""

from __future__ import annotations

import os
import re
import time
from html import unescape
from statistics import quantiles
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from agent.projections.presence import Presence, Running, WorkerView
from agent.store.mongo_context_repository import MongoContextRepository
from benchmarks.bench import Bench, BenchmarkFailed, Room, Size
from benchmarks.contexts import insert
from benchmarks.population import SERVICES, Population, deeds, populate, schedules
from benchmarks.processes import busy_seconds, cpu_seconds, family
from benchmarks.report import Part, Row, at_most
from benchmarks.visitor import Page, Visitor, settings_of_users
from benchmarks.web import Web, running_web
from bridge.views import Views

ROUNDS = Size(60, quick=15)
WARM_UP = 2
TIME, SIZE = at_most(200), at_most(100)
KB = 1000
DEEP = 20
"""Pages that are turned before the deep one."""
NEW = "NEW"
"""In an address: another one each time, so that nobody has read this very page before."""
WORKERS, THREADS = 8, 32
SCHEDULES, DEEDS = 60, 500
NEXT = re.compile(rb'<a href="/dashboard([^"]*)" rel="next">')

Paths = dict[str, str]


class Used(NamedTuple):
    """Seconds: of the clock, of the processors for this measurement, and for everybody."""

    clock: float
    own: float
    everybody: float


def measure(bench: Bench) -> Part:
    rounds = bench.sized(ROUNDS)
    with bench.service() as service, bench.room() as room:
        population = settle_in(bench, room)
        with running_web(bench, room, service, settings_of_users()) as web:
            visitor = Visitor(web.port)
            paths = paths_of(population, visitor)
            bench.say(f"pages: {len(paths)} of them, {rounds} times each")
            presence = Presence(room.redis, room.settings.namespace)
            pages: dict[str, list[Page]] = {name: [] for name in paths}
            before = used(bench, web)
            for number in range(WARM_UP + rounds):
                for name, path in paths.items():
                    beat(presence)
                    page = visitor.get(path.replace(NEW, f"{number:03d}"))
                    if number >= WARM_UP:
                        pages[name].append(page)
            visitor.close()
            others = cores(before, used(bench, web))
    return _part(pages, others)


def settle_in(bench: Bench, room: Room) -> Population:
    """Have a room look as if a system had worked in it for hours."""
    now = room.clock.now()
    population = populate(now)
    bench.say(f"pages: storing {len(population.documents)} contexts")
    insert(room, population.documents)
    room.database["schedules"].insert_many(schedules(now, SCHEDULES))
    entries, outcomes = zip(*deeds(now, DEEDS), strict=True)
    room.database["audit"].insert_many(entries)
    room.database["audit_outcomes"].insert_many(outcomes)
    repository = MongoContextRepository(room.client, room.clock, room.settings)
    Views(repository, room.redis, room.settings).run()
    beat(Presence(room.redis, room.settings.namespace))
    return population


def beat(presence: Presence) -> None:
    """Workers give a sign of life."""
    running = [Running(f"ctx_{number:026d}", SERVICES[0], number) for number in range(THREADS)]
    for number in range(WORKERS):
        worker_id = f"worker-{number}"
        presence.beat(
            WorkerView(
                worker_id, SERVICES, THREADS, THREADS, f"host-{number}", 100 + number, "1.0",
                draining=False, started_at="2024-05-01T12:00:00+00:00", running=running,
            )
        )  # fmt: skip


def paths_of(population: Population, visitor: Visitor) -> Paths:
    """Every page by a name, and each with what it can be asked."""
    examples = population.examples
    failed, kind = examples["failed"], examples["failed"]["error"]["fingerprint"]
    service = failed["service_type"]
    filters: dict[str, dict[str, str]] = {
        "service": {"service": "ANALYSIS"},
        **{f"status {status}": {"status": status} for status in (
            "waiting", "pending", "scheduled", "queued", "processing", "completed", "failed",
            "cancelled")},
        "tag": {"tag": "team=north"},
        "template": {"template": "sentiment"},
        "user": {"user": "user-13"},
        "nobody": {"user": "nobody"},
        "error": {"error": "OutcomeUnknown"},
        "kind": {"kind": kind, "service": service},
        "since": {"since": "2h"},
        "until": {"until": "10h"},
        "all at once": {"service": service, "status": "failed", "tag": "team=north",
                        "user": "user-13", "since": "15h"},
    }  # fmt: skip
    sorts = {name: {"sort": name} for name in ("next", "attempts", "service")}
    chosen = {
        "service": {"service": "ANALYSIS"},
        "kind": {"kind": kind},
        "error": {"error": "ServiceUnavailable"},
        "template": {"template": "sentiment"},
        "tag": {"tag": "team=north"},
        "nobody": {"tag": "team=nobody"},
    }
    return {
        "overview": "",
        "overview, a day": "?span=day",
        "charts": "/charts.json?span=day",
        **{name: f"/{name}" for name in ("services", "workers", "bridge")},
        "contexts": "/contexts",
        **{f"contexts, {name}": f"/contexts?{urlencode(each)}" for name, each in filters.items()},
        "contexts, anew": f"/contexts?since=2020-01-01T00:00:00.{NEW}Z",
        "contexts, completed, anew": f"/contexts?status=completed&since=2020-01-01T00:00:00.{NEW}Z",
        "contexts, deep": deep(visitor, "/contexts"),
        "contexts, deep and rare": deep(visitor, "/contexts?user=user-13", 2),
        **{f"context, {name}": f"/contexts/{quote(each['_id'])}"
           for name, each in examples.items() if name not in ("request", "batch")},
        "requests": "/requests",
        "requests, status": "/requests?status=completed",
        "request": f"/requests/{quote(examples['request']['_id'])}",
        "batches": "/requests?kind=batch",
        "batch": f"/requests/{quote(examples['batch']['_id'])}",
        "retries": "/retries",
        **{f"retries by {name}": f"/retries?{urlencode(each)}" for name, each in sorts.items()},
        **{f"retries, {name}": f"/retries?{urlencode(each)}" for name, each in chosen.items()},
        "retries, deep": deep(visitor, "/retries"),
        "dead letters": "/dead",
        "dead letters, service": "/dead?service=ANALYSIS",
        "dead letters, since": "/dead?since=2h",
        "dead letters, retry a kind": f"/dead/retry?{urlencode({'kind': kind})}",
        "dead letters, retry all": "/dead/retry?scope=all",
        "schedules": "/schedules",
        "audit": "/audit",
        "audit, who": "/audit?who=ann",
        "audit, deep": deep(visitor, "/audit", 4),
    }  # fmt: skip


def deep(visitor: Visitor, path: str, pages: int = DEEP) -> str:
    """The page behind so many others.

    Raises:
        BenchmarkFailed: there are not so many.
    """
    for _ in range(pages):
        found = NEXT.search(visitor.get(path).content)
        if found is None:
            raise BenchmarkFailed(f"{path} is the last page")
        path = unescape(found[1].decode())
    return path


def used(bench: Bench, web: Web) -> Used:
    """What this measurement has used up to now, and what everybody has."""
    servers = (*bench.servers.pids.values(), web.handle.pid or 0)
    pids = [os.getpid(), *(member for pid in servers for member in family(pid))]
    return Used(time.monotonic(), cpu_seconds(*pids) or 0.0, busy_seconds() or 0.0)


def cores(before: Used, after: Used) -> float:
    """How many cores were busy with something else."""
    seconds, own, all_ = (b - a for a, b in zip(before, after, strict=True))
    return max(0.0, all_ - own) / seconds


def _part(pages: dict[str, list[Page]], others: float) -> Part:
    rows, data = [], dict[str, Any]()
    for name, found in pages.items():
        took = [page.milliseconds for page in found]
        percentiles = quantiles(took, n=100, method="inclusive")
        size = max(len(page.content) for page in found) / KB
        detail = f"p50 {percentiles[49]:.0f} ms; longest {max(took):.0f} ms; {size:.0f} KB"
        rows.append(Row(f"page {name}: p95", percentiles[94], "ms", TIME, detail))
        data[name] = {
            "milliseconds": [round(each, 1) for each in took],
            "kilobytes": round(size, 1),
        }
    largest = max(data, key=lambda name: float(data[name]["kilobytes"]))
    slowest = max(rows, key=lambda row: row.value or 0.0)
    rows += [
        Row(
            "pages: the slowest, p95",
            slowest.value,
            "ms",
            TIME,
            f"{slowest.what}; cores busy with others: {others:.1f}",
        ),
        Row("pages: the largest", data[largest]["kilobytes"], "KB", SIZE, largest),
    ]
    return Part("pages", rows, {**data, "cores_busy_with_others": round(others, 2)})
