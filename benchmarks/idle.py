"""What an idle system asks of MongoDB, with one worker process and with ten.

Counted on the wire. The driver's own `hello` (each client asks every ten seconds whether the server
is still there) is not counted in.
"""

from __future__ import annotations

import time
from collections import Counter

from pymongo import MongoClient

from agent.errors import ConfigurationError
from agent.models import Document
from benchmarks.bench import Bench, Size
from benchmarks.contenders import Line
from benchmarks.proxy import CountingProxy, behind_proxy
from benchmarks.report import Part, Row, at_most
from benchmarks.stage import staged

WORKER_PROCESSES = (1, 10)
SETTLE_SECONDS = Size(10, quick=5)
WINDOW_SECONDS = Size(60, quick=20)
"""Several rounds of the slowest duty, which comes every ten seconds."""
THE_DRIVERS = frozenset({"hello", "isMaster", "ismaster"})


def measure(bench: Bench) -> Part:
    rows, data = [], {}
    for processes in WORKER_PROCESSES:
        bench.say(f"idle: starting the bridge and {processes} worker processes")
        seconds = bench.sized(WINDOW_SECONDS)
        counts = count_idle(bench, processes, seconds)
        ours = {name: n for name, n in counts.items() if name not in THE_DRIVERS}
        data[str(processes)] = {"seconds": seconds, "commands": dict(counts.most_common())}
        each = ", ".join(f"{name} {n / seconds:.2f}" for name, n in Counter(ours).most_common())
        rows.append(
            Row(
                f"idle: {processes} worker process{'es' if processes > 1 else ''}",
                sum(ours.values()) / seconds,
                "operations/s",
                mark=at_most(2),
                detail=each,
            )
        )
    return Part("idle", rows, data)


def count_idle(bench: Bench, processes: int, seconds: float) -> Counter[str]:
    """The commands of a window of an idle system that has worked before."""
    with CountingProxy(*_address(bench.servers.mongodb_uri)) as proxy:
        uri = behind_proxy(bench.servers.mongodb_uri, proxy.port)
        with staged(bench, Line(processes=processes, mongodb_uri=uri)) as stage:
            stage.warm_up(20 * processes)
            time.sleep(bench.sized(SETTLE_SECONDS))
            bench.say(f"idle: counting for {seconds:g} s")
            proxy.take()
            time.sleep(seconds)
            counts = proxy.take()
            bench.wait_until(lambda: True, "all have lived through it", 0, stage.handles)
    return counts


def _address(uri: str) -> tuple[str, int]:
    """Where the primary is."""
    if "tls=true" in uri or "ssl=true" in uri or uri.startswith("mongodb+srv"):
        raise ConfigurationError("MONGODB_URI: operations are counted on plain wires only")
    with MongoClient[Document](uri) as client:
        client.admin.command("ping")
        assert client.address is not None
        return client.address
