"""`agent up`: the whole system on one machine, as `make up` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from agent.embedded.ports import free_port
from agent.projections.connection import connect_redis
from agent.projections.presence import Presence, WorkerView
from agent.settings import Settings
from tests.acceptance.commands import AGENT, Agent
from tests.waiting import wait_until

START_SECONDS = 90


class System:
    """A running `agent up`, with what it says."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "up.log"
        self.env_file = folder / ".agent" / "env"
        environment = {**os.environ, "AGENT_ENV": "development", "AGENT_THREADS": "4"}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(AGENT), "up"], cwd=folder, env=environment, stdout=output, stderr=output
            )
        self.agent = Agent(environment, folder)

    def wait(self) -> None:
        """Wait until everything is up."""
        wait_until(lambda: self.env_file.exists() or self.process.poll() is not None, START_SECONDS)
        assert self.process.poll() is None, self.said
        lines = self.env_file.read_text().replace("export ", "").replace("'", "").splitlines()
        self.agent.environment |= dict(line.split("=", 1) for line in lines)

    @property
    def said(self) -> str:
        """Everything that it printed."""
        return self.log.read_text()

    def workers(self) -> dict[str, WorkerView]:
        """The living worker processes by service type."""
        settings = Settings(redis_url=SecretStr(self.agent.environment["REDIS_URL"]))
        with connect_redis(settings, max_connections=1) as client:
            return {view.service_types[0]: view for view in Presence(client, "agent").live()}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Started once for all of these tests; the last of them stops it."""
    system = System(tmp_path_factory.mktemp("up"))
    try:
        system.wait()
        yield system
    finally:
        system.process.terminate()
        system.process.wait(timeout=60)


@pytest.mark.parametrize(
    ("service", "body"),
    [
        ("GENERATIVE", '{"prompt": "Hello"}'),
        ("ANALYSIS", '{"series": [1, 2, 3]}'),
        ("COMMUNICATION", '{"recipient": "a@example.org", "message": "Hello"}'),
    ],
)
def test_work_is_done(system: System, service: str, body: str) -> None:
    """A request of each service type comes back with its result."""
    done = system.agent("submit", "--service", service, "--body", body, "--wait", "30")
    assert (done.code, done.err) == (0, "")
    assert '"success": true' in done.out


def test_work_that_fails_ends_with_1(system: System) -> None:
    """And says why."""
    done = system.agent("submit", "--service", "ANALYSIS", "--body", "{}", "--wait", "30")
    assert done.code == 1
    assert "failed: ServiceRefused" in done.err


def test_it_says_where_everything_is(system: System) -> None:
    """The pages answer where it says, and what it says holds for another terminal."""
    assert "everything is up; data in .agent" in system.said
    web = f"http://127.0.0.1:{system.agent.environment['PORT']}"
    assert web in system.said
    assert httpx.get(f"{web}/readyz").status_code == 200
    assert f"dashboard      {web}/dashboard\n" in system.said
    assert "Overview" in httpx.get(f"{web}/dashboard").text


def test_status_shows_a_leader_and_the_workers(system: System) -> None:
    """One worker process for each service type, with the threads of the environment."""
    status = system.agent("status", "--json").json
    assert status["bridge"]["owner"].startswith("bridge:")
    services = status["services"].values()
    assert [(found["workers"], found["threads"]) for found in services] == [(1, 4)] * 3


def test_a_worker_that_is_killed_is_started_again(system: System) -> None:
    """Another process serves its queue, and it is told in between."""
    killed = system.workers()["ANALYSIS"]
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: _another_than(killed, system), 30)
    assert "analysis      │ ended with 1; started again as" in system.said
    test_work_is_done(system, "ANALYSIS", '{"series": [1]}')


def _another_than(killed: WorkerView, system: System) -> bool:
    found = system.workers().get("ANALYSIS")
    return found is not None and found.worker_id != killed.worker_id


def test_it_stops_well(system: System) -> None:
    """SIGTERM ends everything; what it left for other terminals is gone."""
    system.process.send_signal(signal.SIGTERM)
    assert system.process.wait(timeout=60) == 0
    assert system.said.splitlines()[-1].endswith("│ stopped")
    assert not system.env_file.exists()
    assert "bridge.stopped" in system.said


@pytest.mark.parametrize(("keys", "told"), [("", "is not set"), ("web:all:hush", "web")])
def test_without_keys_it_does_not_come_up_in_production(
    tmp_path: Path, keys: str, told: str
) -> None:
    """Nor with keys that cannot be read: it says so and ends, before it starts anything that would
    end for that again and again."""
    urls = {f"{name}_BASE_URL": "http://127.0.0.1:9"
            for name in ("GENERATION", "ANALYSIS", "COMMUNICATION")}  # fmt: skip
    environment = {**os.environ, **urls, "AGENT_ENV": "production", "AGENT_API_KEYS": keys}
    done = Agent(environment, tmp_path)("up")
    assert done.code == 78
    assert "AGENT_API_KEYS" in done.err
    assert told in done.err
    assert "hush" not in done.out + done.err
    assert list(tmp_path.iterdir()) == []


def test_it_ends_when_a_process_cannot_start_with_these_settings(agent: Agent) -> None:
    """To start it again would not help; what it said is there, and the exit code is its own."""
    done = agent("up", AGENT_ENV="development", AGENT_TEMPLATES="nowhere", PORT=str(free_port()))
    assert done.code == 78
    assert "there is no folder of templates 'nowhere'" in done.out
    assert "does not start with these settings" in done.err
