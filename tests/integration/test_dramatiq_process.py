"""Real `dramatiq` processes with our broker and middleware: how they start and how they stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.models import Claim
from agent.projections.presence import Presence
from bridge.enqueue import enqueue
from tests.servers import RedisServer
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]

MODULE = '''
"""A worker process with a stand-in carrier that tells Redis what it does."""
import os, threading, time
import dramatiq
from actors.broker import make_broker
from actors.middleware.boot import Boot, refuse
from actors.middleware.dead_letters import DeadLetters
from actors.middleware.drain import Drain
from actors.middleware.presence import Beat
from actors.middleware.wake import Wake
from actors.run import declare_actors
from agent.errors import ConfigurationError
from agent.logs import configure_logging
from agent.projections.connection import connect_redis
from agent.settings import load_settings


class StandIn:
    running = []

    def __init__(self, settings):
        self.client = connect_redis(settings, max_connections=8)

    def note(self, what):
        self.client.rpush("noted", what)

    def check(self, service_types):
        if os.environ.get("REFUSE") == "check":
            raise ConfigurationError("GENERATION_BASE_URL: is not set")

    def open(self):
        if os.environ.get("REFUSE") == "open":
            raise ConfigurationError("MONGODB_URI: cannot be read")
        while os.environ.get("NEVER_OPEN"):
            self.note("waiting")
            time.sleep(0.1)
        self.note("opened")

    def run(self, service_type, context_id, fence, claim_id):
        self.note(f"begun {context_id}")
        while not self.client.exists("go on"):
            time.sleep(0.02)
        self.note(f"ended {context_id}")

    def flush(self):
        pass

    def drain(self, grace):
        self.note("draining")

    def close(self):
        self.note("closed")


settings = load_settings()
configure_logging(settings)
stand_in = StandIn(settings)
registry = settings.registry
carrier = lambda: stand_in
middleware = [
    Boot(carrier, registry), Drain(carrier), Beat(carrier, registry, f"worker:{os.getpid()}"),
    Wake(), DeadLetters(),
]
broker = make_broker(settings, middleware)
dramatiq.set_broker(broker)
declare_actors(broker, registry, carrier)
'''


class Processes:
    """A `dramatiq` master and its children, in a process group of their own."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        (folder / "standing_in.py").write_text(MODULE)
        self.client = server.connect()
        self.presence = Presence(self.client, "agent")
        self._environment = {
            **os.environ,
            "REDIS_URL": server.url,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        }
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "dramatiq", "standing_in", "-t", "4", *options]
        process = subprocess.Popen(
            [*command, "--worker-shutdown-timeout", "20000"],
            env=self._environment | environment,
            cwd=self._folder,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def enqueue(self, *context_ids: str) -> None:
        claims = [Claim(context_id, 1, "claim_1") for context_id in context_ids]
        enqueue(self.client, "dramatiq", "agent", "generative", claims)

    def noted(self) -> list[str]:
        return [str(what) for what in self.client.lrange("noted", 0, -1)]

    def end(self) -> None:
        for process in self._started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            finally:
                process.communicate()
        self.client.close()


@pytest.fixture
def processes(tmp_path: Path, redis_server: RedisServer) -> Iterator[Processes]:
    processes = Processes(tmp_path, redis_server)
    yield processes
    processes.end()


def test_two_sigterms_to_the_whole_group_let_the_running_call_end(processes: Processes) -> None:
    """Platforms signal the group, and the master passes its own on: neither kills."""
    process = processes.start("-p", "1", "-Q", "generative")
    processes.enqueue("ctx_1")
    wait_until(lambda: "begun ctx_1" in processes.noted())
    wait_until(processes.presence.live)
    os.killpg(process.pid, signal.SIGTERM)
    wait_until(lambda: "draining" in processes.noted())
    os.killpg(process.pid, signal.SIGTERM)
    processes.enqueue("for others")
    wait_until(lambda: [worker.draining for worker in processes.presence.live()] == [True])
    processes.client.set("go on", 1)
    assert process.wait(10) == 0
    assert processes.noted() == ["opened", "begun ctx_1", "draining", "ended ctx_1", "closed"]
    assert processes.client.llen("dramatiq:generative") == 1
    assert not processes.client.keys("dramatiq:__acks__*")
    assert processes.presence.live() == []


def test_several_children_serve_and_stop_together(processes: Processes) -> None:
    """Each beats under its own name, and two signals in a row end them all in peace."""
    process = processes.start("-p", "3")
    workers = wait_until(lambda: len(processes.presence.live()) == 3 and processes.presence.live())
    assert len({worker.broker_id for worker in workers}) == 3  # type: ignore[union-attr]
    processes.client.set("go on", 1)
    processes.enqueue(*(f"ctx_{number}" for number in range(50)))
    wait_until(lambda: sum(line.startswith("ended") for line in processes.noted()) == 50)
    os.killpg(process.pid, signal.SIGTERM)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("options", "environment", "line"),
    [
        ((), {"REFUSE": "check"}, "GENERATION_BASE_URL: is not set"),
        ((), {"REFUSE": "open"}, "MONGODB_URI: cannot be read"),
        (("-Q", "generativ"), {}, "-Q generativ: no such queue"),
    ],
    ids=["a service without a URL", "a URI that cannot be read", "a queue that is not there"],
)
def test_a_wrong_setting_ends_the_process_with_one_line(
    processes: Processes, options: tuple[str, ...], environment: dict[str, str], line: str
) -> None:
    """At once, with the exit code for configuration errors, and without a traceback."""
    started = time.monotonic()
    process = processes.start("-p", "1", *options, **environment)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 78
    assert sum(text.startswith(line) for text in stderr.splitlines()) == 1
    assert "Traceback" not in stderr
    assert time.monotonic() - started < 15  # the master would wait 30 s for a child that vanished


def test_a_process_that_waits_for_its_servers_stops_when_told(processes: Processes) -> None:
    """It fetches nothing, says nothing of being there, and exits 0."""
    process = processes.start("-p", "1", NEVER_OPEN="1")
    processes.enqueue("ctx_1")
    wait_until(lambda: "waiting" in processes.noted())
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(10) == 0
    assert processes.client.llen("dramatiq:generative") == 1
    assert processes.presence.live() == []
    assert set(processes.noted()) == {"waiting"}
