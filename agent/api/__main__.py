"""The process type `web`: `python -m agent.api`, on `$PORT`."""

from __future__ import annotations

import os
import signal
import sys

import uvicorn

from agent.api.app import create_app
from agent.errors import ConfigurationError
from agent.logs import configure_logging, get_logger
from agent.projections.connection import connect_redis
from agent.settings import Settings, load_settings
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
    repository = MongoContextRepository.connect(settings)
    client = connect_redis(settings, max_connections=MAX_CONNECTIONS, name="web")
    app = create_app(settings, repository=repository, client=client)
    host = "0.0.0.0" if settings.env == "production" else "127.0.0.1"  # noqa: S104 - platforms route to it
    get_logger().info("web.starting", host=host, port=settings.port)
    signal.signal(signal.SIGTERM, _end_well)
    try:
        uvicorn.run(
            app,
            host=host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    finally:
        client.close()


def _end_well(*_: object) -> None:
    """uvicorn raises the signal again once it has stopped: asked to end, and ended, is rc 0."""
    raise SystemExit(0)


if __name__ == "__main__":
    main()
