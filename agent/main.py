"""`python -m agent.main`: all workers alone in one process, with no broker and no bridge."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from agent.errors import ConfigurationError
from agent.logs import configure_logging, get_logger
from agent.services import import_worker
from agent.settings import Settings, load_settings
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers.worker_base import ClientWorker

log = get_logger()


def main() -> None:
    """Run until SIGTERM or Ctrl-C. MongoDB may be away, now and later."""
    try:
        settings = load_settings()
        configure_logging(settings)
        asyncio.run(run(settings))
    except ConfigurationError as exc:
        sys.stderr.write(f"{exc}\n")
        raise SystemExit(os.EX_CONFIG) from exc


async def run(settings: Settings) -> None:
    """Start a worker for each service type, and stop them all when told to.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    repository = MongoContextRepository.connect(settings)
    workers: list[ClientWorker] = [
        import_worker(service.worker)(repository, settings=settings)
        for service in settings.registry.values()
    ]
    try:
        for worker in workers:
            await worker.start()
        await stopping.wait()
        log.info("workers.stopping")
    finally:
        await asyncio.gather(*(worker.stop() for worker in workers))
        repository.close()


if __name__ == "__main__":
    main()
