"""The Procfile's own lines, run as they stand, with nothing but variables of the environment."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from agent.embedded.ports import HOST, free_port
from agent.projections.presence import threads_by_service
from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE, ServiceType
from scripts.house.procfile import read_procfile
from tests.faults.line import ROOT, STOP_SECONDS, Line, LineFactory
from tests.faults.processes import Running
from tests.waiting import wait_until

SERVICES = (GENERATIVE, ANALYSIS, COMMUNICATION)


class Platform:
    """Runs process types as Heroku-like platforms do."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.port = free_port()
        self._types = read_procfile((ROOT / "Procfile").read_text())
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PORT": str(self.port),
            "PYTHONPATH": "",
            "AGENT_API_KEYS": "a-test:admin:its-secret",
        }

    def run(self, name: str) -> Running:
        """One more process of a type."""
        command, environment = self._types[name], self._environment
        return self.line.processes.start(
            name, "sh", "-c", command, cwd=ROOT, environment=environment
        )

    def run_worker(self, service: ServiceType) -> Running:
        """One more process of a service's type, once it shows itself."""
        worker = self.run(service.queue)
        worker.wait_for_start(lambda: self.line.view_of(worker))
        return worker

    def stop(self, worker: Running) -> int | None:
        """SIGTERM to its processes, but to no shell in front of them, which would not wait."""
        for pid in worker.members():
            if Path(f"/proc/{pid}/comm").read_text().strip() != "sh":
                os.kill(pid, signal.SIGTERM)
        return worker.wait(STOP_SECONDS)

    def get(self, path: str) -> httpx.Response:
        """What `web` answers."""
        return httpx.get(f"http://{HOST}:{self.port}{path}", timeout=10)

    def carry_out(
        self, services: Sequence[ServiceType], count: int, *, drained: bool = True
    ) -> float:
        """Have so many of each service carried out; the seconds that it took."""
        began = time.monotonic()
        ids = [each for service in services for each in self.line.submit(service, count)]
        self.line.wait_until_final(ids, 60)
        seconds = time.monotonic() - began
        self.line.assert_sound(ids, drained=drained)
        return seconds


@pytest.fixture(scope="module")
def platform(new_line: LineFactory) -> Iterator[Platform]:
    """The release phase done, and one process of each type."""
    with new_line(lease=30) as line:
        platform = Platform(line)
        assert platform.run("release").wait(60) == 0
        web, bridge = platform.run("web"), platform.run("bridge")
        for service in SERVICES:
            platform.run_worker(service)
        bridge.wait_for_start(lambda: bridge.logged("lead.begun"))
        web.wait_for_start(lambda: web.logged("web.starting"))
        yield platform


def test_they_drain_1000_contexts(platform: Platform) -> None:
    """Of all three services, and `web` tells of it."""
    line = platform.line
    ids = (
        line.submit(GENERATIVE, 400) + line.submit(ANALYSIS, 300) + line.submit(COMMUNICATION, 300)
    )
    line.wait_until_final(ids, 120)
    line.assert_sound(ids)
    assert sorted(line.sandbox.delivered()) == sorted(ids[700:])
    assert platform.get("/healthz").json() == {"status": "alive"}
    ready = platform.get("/readyz").json()
    assert ready["ready"]
    assert {name: found["ok"] for name, found in ready["dependencies"].items()} == dict.fromkeys(
        ("mongodb", "redis", "bridge"), True
    )
    told = 'agent_contexts{service="GENERATIVE",status="completed"} 400.0'
    wait_until(lambda: told in platform.get("/metrics").text)
    metrics = platform.get("/metrics").text
    assert "agent_bridge_leader 1.0" in metrics
    for service in SERVICES:
        assert f'agent_workers{{service="{service.name}"}} 1.0' in metrics
        assert f'agent_threads{{service="{service.name}"}} 64.0' in metrics


def test_stopping_one_service_leaves_the_others_as_they_were(platform: Platform) -> None:
    """Its work waits in MongoDB, its queue holds next to nothing, and nothing else notices."""
    line = platform.line
    others = (GENERATIVE, COMMUNICATION)
    before = platform.carry_out(SERVICES, 60)
    analysis = next(each for each in line.processes.running if each.name == ANALYSIS.queue)
    assert platform.stop(analysis) == 0
    waiting = line.submit(ANALYSIS, 60)
    assert platform.carry_out(others, 60, drained=False) < 2 * before + 1
    assert line.statuses(waiting)["pending"] >= 59  # one may be sent out to see
    assert line.in_broker(ANALYSIS) <= 1
    platform.run_worker(ANALYSIS)
    line.wait_until_final(waiting, 30)
    line.assert_sound(waiting)


def test_a_service_scales_by_more_processes_alone(platform: Platform) -> None:
    """Three of them share the work, with no other change."""
    line = platform.line
    for _ in range(2):
        platform.run_worker(GENERATIVE)
    wait_until(lambda: threads_by_service(line.presence.live())[GENERATIVE.name] == 3 * 64)
    ids = line.submit(GENERATIVE, 240, fault={"latency_seconds": 0.5})
    line.wait_until_final(ids, 60)
    line.assert_sound(ids)
    assert len({document["processed_by"] for document in line.documents(ids)}) == 3
