"""Serves the three services in one process: sockets, servers, readiness and a quick end."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from agent.errors import ConfigurationError
from agent.sandbox.analysis import analyze
from agent.sandbox.app import create_app
from agent.sandbox.communication import communicate, notify
from agent.sandbox.generation import generate
from agent.sandbox.outbox import Outbox
from agent.sandbox.record import CallLog
from agent.sandbox.service import BaseService, Job

BACKLOG = 4096
KEEP_ALIVE_SECONDS = 75  # longer than any client keeps an idle connection: no race on its reuse
GRACE_SECONDS = 1  # what a running call has at the end


class Connection(H11Protocol):
    """An HTTP connection whose requests know its transport, so that a fault can close it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the transport into the state that each request's scope copies."""
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class Server(uvicorn.Server):
    """A server beside others on one loop: leaves signals alone, and says when it listens."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the process, which has three servers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        self.listening.set()


def create_services(
    *, outbox_dir: Path, record_dir: Path | None, api_key: str | None
) -> dict[str, BaseService]:
    """The three services, by the name that their base URL has in the environment.

    Raises:
        ConfigurationError: the directories cannot be used.
    """
    try:
        outbox = Outbox(outbox_dir)
        return {
            name: BaseService(service_type, jobs, CallLog(service_type, record_dir), api_key)
            for name, service_type, jobs in _services(outbox)
        }
    except OSError as exc:
        raise ConfigurationError(f"the data directory cannot be used: {exc}") from exc


def _services(outbox: Outbox) -> Sequence[tuple[str, str, Mapping[str, Job]]]:
    deliveries: dict[str, Job] = {
        "/api/v1/communicate": partial(communicate, outbox=outbox),
        "/api/v1/notify": partial(notify, outbox=outbox),
    }
    return (
        ("GENERATION_BASE_URL", "GENERATIVE", {"/api/v1/generate": generate}),
        ("ANALYSIS_BASE_URL", "ANALYSIS", {"/api/v1/analyze": analyze}),
        ("COMMUNICATION_BASE_URL", "COMMUNICATION", deliveries),
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigurationError: the address is taken, or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        reason = exc.strerror or exc
        raise ConfigurationError(f"cannot listen on {host}:{port}: {reason}") from exc


def url_of(listener: socket.socket) -> str:
    """The base URL under which a listener is reached from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (no bind, a look-up)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    services: Mapping[str, BaseService],
    listeners: Sequence[socket.socket],
    announce: Callable[[dict[str, str]], None],
) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called with the base URLs once all listen."""
    servers = [Server(create_app(service)) for service in services.values()]

    def stop() -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # calls cut off are no news
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    urls = dict(zip(services, map(url_of, listeners), strict=True))
    pairs = zip(servers, listeners, strict=True)
    serving = asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in pairs))
    try:
        for server in servers:
            await server.listening.wait()
        announce(urls)
    except OSError:
        stop()
        raise
    finally:
        await serving


def write_whole(path: Path, text: str) -> None:
    """Write a file that readers see either not at all or complete."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
