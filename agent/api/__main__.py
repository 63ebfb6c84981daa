"""The process type `web`: `python -m agent.api`, on `$PORT`."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import uvicorn

from agent.api.app import create_app
from agent.api.doors import Doors
from agent.api.keys import VARIABLE, check_doors, read_keys
from agent.dashboard.entry.users import read_users
from agent.errors import ConfigurationError
from agent.logs import configure_logging, get_logger
from agent.projections.connection import connect_redis
from agent.settings import Settings, load_settings
from agent.store.cost import CountedCommands
from agent.store.mongo_context_repository import MongoContextRepository

MAX_CONNECTIONS = 16
GRACE_SECONDS = 10


def main() -> None:
    """Serve until SIGTERM or Ctrl-C. MongoDB and Redis may be away, now and later."""
    try:
        serve(load_settings())
    except ConfigurationError as exc:
        sys.stderr.write(f"agent.api: {exc}\n")
        raise SystemExit(os.EX_CONFIG) from exc


def serve(settings: Settings) -> None:
    """Serve with these settings.

    Raises:
        ConfigurationError: one of them is wrong.
    """
    configure_logging(settings)
    repository = MongoContextRepository.connect(settings, CountedCommands())
    client = connect_redis(settings, max_connections=MAX_CONNECTIONS, name="web")
    keys = read_keys(settings)
    check_doors(settings, keys, has_users=bool(read_users(settings)))
    app = create_app(settings, repository=repository, client=client)
    host = "0.0.0.0" if settings.env == "production" else "127.0.0.1"  # noqa: S104 - platforms route to it
    log = get_logger()
    log.info("web.starting", host=host, port=settings.port)
    if not keys and settings.env == "development":
        log.warning("web.open", advice=f"{VARIABLE} is not set: this machine may do everything")
    signal.signal(signal.SIGTERM, _end_well)
    config = uvicorn.Config(
        app,
        host=host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        Server(config, app.state.doors).run()
    finally:
        client.close()


class Server(uvicorn.Server):
    """Sends those home who listen, as soon as it is to stop: they would hold it up to the end of
    its grace."""

    def __init__(self, config: uvicorn.Config, doors: Doors) -> None:
        super().__init__(config)
        self._doors = doors

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._doors.hub.close()
        self._doors.nudges.close()
        super().handle_exit(sig, frame)


def _end_well(*_: object) -> None:
    """uvicorn raises the signal again once it has stopped: asked to end, and ended, is rc 0."""
    raise SystemExit(0)


if __name__ == "__main__":
    main()
