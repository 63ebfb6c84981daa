"""`agent up`: the whole system on one machine, until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.exits import WRONG_SETTING
from agent.cli.opened import opened, quiet_settings
from agent.cli.output import console, note
from agent.errors import ConfigurationError

if TYPE_CHECKING:
    from agent.cli.system.commands import Command
    from agent.cli.system.lines import Lines
    from agent.cli.system.surroundings import Gaps
    from agent.embedded import Handle, Supervisor
    from agent.settings import Settings

WORKER_GRACE = timedelta(seconds=25)
"""They give their calls 20 s."""
GRACE = timedelta(seconds=12)
READY_TIMEOUT = timedelta(seconds=60)
SERVER_SECONDS = 60.0
OURS = ("agent", "mongodb", "redis", "sandbox", "web", "bridge")


def up(
    *,
    data: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where everything is kept.")
    ] = Path(".agent"),
    sample: Annotated[
        bool,
        typer.Option("--sample", help="Keep asking the sandboxes, so that there is much to see."),
    ] = False,
) -> None:
    """Run the whole system until Ctrl-C: web, one bridge, one worker process per service type.

    Embedded servers stand in for MongoDB and Redis unless MONGODB_URI and REDIS_URL are set, and
    in development (AGENT_ENV) a sandbox for each service whose …_BASE_URL is not set. What dies is
    started again. With --sample it has something to do from the beginning: calls of the sandboxes
    that succeed, fail, are refused and are tried again.
    """
    from agent.cli.system.stopping import stoppable

    wrong: list[str] = []
    with stoppable(), ExitStack() as stack:
        _run(data.absolute(), stack, wrong, sample=sample)
    if wrong:
        raise ConfigurationError(f"{wrong[0]} does not start with these settings; it says why")


def _run(data: Path, stack: ExitStack, wrong: list[str], *, sample: bool) -> None:
    """Start everything, and wait for `Stop`; the stack then stops it, workers first.

    Args:
        wrong: gets the names of processes that do not start with these settings.

    Raises:
        ConfigurationError: something cannot start with these settings.
    """
    from agent.api.keys import check_doors, read_keys
    from agent.cli.system.lines import Lines
    from agent.cli.system.surroundings import find_gaps
    from agent.dashboard.entry.users import read_users
    from agent.embedded import Supervisor

    settings = quiet_settings()
    gaps = find_gaps(settings)
    if sample and not (gaps.mongodb and len(gaps.sandboxed) == len(settings.registry)):
        raise ConfigurationError(
            "--sample is for an embedded MongoDB and sandboxes alone; unset MONGODB_URI and "
            "…_BASE_URL, and set AGENT_ENV=development"
        )
    check_doors(settings, read_keys(settings), has_users=bool(read_users(settings)))
    queues = [service.queue for service in settings.registry.values()]
    lines = Lines(console(), [*OURS, *queues])
    supervisor = Supervisor(lambda handle: _tell_restart(lines, handle, wrong))
    stack.callback(lines.close)
    stack.callback(lines.tell, "agent", "stopped")
    started = {"PORT": str(gaps.port)}
    started |= _start_servers(data, gaps, supervisor, lines, stack)
    started |= _start_sandbox(data, gaps, supervisor, stack)
    os.environ.update(started)
    _start_processes(settings, supervisor, lines, stack)
    _write_environment(data, started, stack)
    _tell_places(data, gaps, lines)
    if sample:
        _start_sample(lines, stack)
    try:
        threading.Event().wait()
    finally:
        lines.tell("agent", "stopping; calls that run have 20 s, unless you press Ctrl-C again")


def _start_servers(
    data: Path, gaps: Gaps, supervisor: Supervisor, lines: Lines, stack: ExitStack
) -> dict[str, str]:
    from agent.embedded import EmbeddedServers

    if not gaps.mongodb and not gaps.redis:
        return {}
    lines.tell("agent", "starting the servers")
    servers = EmbeddedServers(
        data / "servers",
        with_mongodb=gaps.mongodb,
        with_redis=gaps.redis,
        supervisor=supervisor,
    )
    stack.enter_context(servers)
    uris = {}
    if gaps.mongodb:
        uris["MONGODB_URI"] = servers.mongodb_uri
    if gaps.redis:
        uris["REDIS_URL"] = servers.redis_url
    return uris


def _start_sandbox(
    data: Path, gaps: Gaps, supervisor: Supervisor, stack: ExitStack
) -> dict[str, str]:
    from agent.cli.system.sandbox import Sandbox

    if not gaps.sandboxed:
        return {}
    sandbox = Sandbox(data / "sandbox")
    handle = supervisor.start(sandbox.process())
    stack.callback(supervisor.stop, handle, grace=GRACE)
    urls = sandbox.wait(handle)
    wanted = [f"{service.variable_prefix}URL" for service in gaps.sandboxed]
    return {name: urls[name] for name in wanted}


def _start_processes(
    settings: Settings, supervisor: Supervisor, lines: Lines, stack: ExitStack
) -> None:
    """The indexes, then bridge, web and workers; returns once all of them work."""
    from agent.cli.setup import prepare
    from agent.cli.system.commands import bridge, web, workers
    from agent.cli.system.readiness import wait_until_ready

    with opened() as found:
        _, warnings = prepare(found, SERVER_SECONDS)
        for warning in warnings:
            note(f"warning: {warning}")
        lines.tell("agent", "starting the processes")
        others = _start([bridge(), web()], supervisor, lines)
        stack.callback(supervisor.stop, *others, grace=GRACE)
        commands = workers(
            settings.registry.values(), processes=settings.processes, threads=settings.threads
        )
        stack.callback(supervisor.stop, *_start(commands, supervisor, lines), grace=WORKER_GRACE)
        missing = wait_until_ready(
            found.settings, found.repository, found.client, timeout=READY_TIMEOUT
        )
    if missing:
        lines.tell("agent", f"still missing: {', '.join(missing)}", "WARNING")


def _start_sample(lines: Lines, stack: ExitStack) -> None:
    from agent.cli.system.sample import keep_asking

    ends = threading.Event()
    asking = threading.Thread(target=keep_asking, args=(lines, ends), name="sample")
    asking.start()
    stack.callback(asking.join)
    stack.callback(ends.set)


def _start(commands: list[Command], supervisor: Supervisor, lines: Lines) -> list[Handle]:
    from agent.embedded import Process

    return [
        supervisor.start(
            Process(
                name=command.name,
                command=command.arguments,
                output=lines.output_of(command.name),
            )
        )
        for command in commands
    ]


def _tell_restart(lines: Lines, handle: Handle, wrong: list[str]) -> None:
    """Say that a process was started again; all ends where that cannot help."""
    name = handle.process.name
    if handle.exit_code == WRONG_SETTING:
        wrong.append(name)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        return
    lines.tell(name, f"ended with {handle.exit_code}; started again as {handle.pid}", "WARNING")


def _write_environment(data: Path, started: dict[str, str], stack: ExitStack) -> None:
    from agent.cli.system.surroundings import environment_file

    file = data / "env"
    data.mkdir(parents=True, exist_ok=True)
    file.write_text(environment_file(started), encoding="utf-8")
    stack.callback(file.unlink, missing_ok=True)


def _tell_places(data: Path, gaps: Gaps, lines: Lines) -> None:
    for line in _places(data, gaps, quiet_settings()):
        lines.tell("agent", line)


def _places(data: Path, gaps: Gaps, settings: Settings) -> Iterator[str]:
    from agent.cli.system.surroundings import dashboard_url

    yield f"everything is up; data in {_short(data)}"
    yield f"web            http://127.0.0.1:{settings.port} (/healthz, /readyz, /metrics)"
    yield f"dashboard      {dashboard_url(settings.port)}"
    yield _place("mongodb", settings.mongodb_uri.get_secret_value(), "embedded" * gaps.mongodb)
    yield _place("redis", settings.redis_url.get_secret_value(), "embedded" * gaps.redis)
    for service in settings.registry.values():
        url = settings.service(service).url or "-"
        yield _place(service.name, url, "sandbox" * (service in gaps.sandboxed))
    program = _short(Path(sys.argv[0]).absolute())
    yield f"In another terminal: . {shlex.quote(_short(data / 'env'))}"
    yield f'then: {program} submit --service GENERATIVE --body \'{{"prompt": "Hello"}}\' --wait'
    yield f"or: {program} status"


def _place(name: str, url: str, stand_in: str) -> str:
    from agent.logs import mask_secrets

    return f"{name:<14} {mask_secrets(url)}" + (f" ({stand_in})" if stand_in else "")


def _short(path: Path) -> str:
    """A path as it is written from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
