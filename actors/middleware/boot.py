"""How a worker process starts: it checks its settings, connects, and counts one SIGTERM only."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from dramatiq import Broker, Middleware, Worker

from actors.broker import AgentBroker, served_queues
from actors.carrier import CarrierFactory
from agent.errors import ConfigurationError
from agent.logs import get_logger
from agent.services import WEBHOOK, ServiceRegistry

RETRY_SECONDS = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

log = get_logger()


def refuse(error: ConfigurationError) -> NoReturn:
    """End this process over a wrong setting, with what is wrong on stderr.

    To the real stderr: Dramatiq's pipe to its master may be read too late. By `SystemExit`, since
    the master waits 30 s for a child that leaves without unwinding.
    """
    stream = sys.__stderr__ or sys.stderr
    stream.write(f"{error}\n")
    stream.flush()
    raise SystemExit(os.EX_CONFIG) from None


class Boot(Middleware):
    """Stops a process that cannot serve its queues, and has the others wait for their servers.

    Args:
        carrier: gives the process's carrier.
        registry: the service types of the installation.
    """

    def __init__(self, carrier: CarrierFactory, registry: ServiceRegistry) -> None:
        self._carrier = carrier
        self._registry = registry
        self._refused: ConfigurationError | None = None

    def after_process_boot(self, broker: Broker) -> None:
        """Debounce the stop signals. By now Dramatiq has set its handlers, and imported us."""
        stopping = threading.Event()
        for number in STOP_SIGNALS:
            previous = signal.getsignal(number)
            if callable(previous):
                signal.signal(number, self._once(previous, stopping))

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Check the settings of what is served, then connect in a thread.

        In a thread, since the master hears no signal and shows no line of ours until the boot is
        over; consumers fetch nothing meanwhile.
        """
        assert isinstance(broker, AgentBroker)
        try:
            services = service_types(self._registry, served_queues(broker, worker))
            self._carrier().check(services)
        except ConfigurationError as exc:
            refuse(exc)
        broker.hold()
        threading.Thread(
            target=self._open, args=(broker, services), name="open", daemon=True
        ).start()

    def _open(self, broker: AgentBroker, services: list[str]) -> None:
        while not broker.draining:
            try:
                self._carrier().open()
            except ConfigurationError as exc:
                self._refused = exc
                os.kill(os.getpid(), signal.SIGTERM)  # only the main thread can end the process
                return
            except Exception as exc:
                log.error("worker.not_open", error=str(exc), error_type=type(exc).__name__)
                threading.Event().wait(RETRY_SECONDS)
            else:
                broker.release()
                log.info("worker.started", service_types=services)
                return

    def _once(
        self, previous: Callable[..., Any], stopping: threading.Event
    ) -> Callable[[int, Any], None]:
        """Dramatiq's handler for the first signal, nothing for the rest.

        Platforms send SIGTERM to the whole group, and the master passes its own on: the second one
        would kill the process amid its calls.
        """

        def handle(number: int, frame: Any) -> None:
            if self._refused is not None:
                refuse(self._refused)
            if stopping.is_set():
                return
            stopping.set()
            try:
                previous(number, frame)
            except SystemExit:  # one came before this handler was set: it is stopping already
                return

        return handle


def service_types(registry: ServiceRegistry, queues: list[str]) -> list[str]:
    """The service types of these queues.

    Raises:
        ConfigurationError: there is no such queue; Dramatiq would serve nothing in silence.
    """
    names = {service.queue: service.name for service in registry.values()}
    unknown = [queue for queue in queues if queue not in names]
    if unknown:
        hint = f"; {WEBHOOK.queue} needs AGENT_WEBHOOK_HOSTS" if WEBHOOK.queue in unknown else ""
        raise ConfigurationError(f"-Q {' '.join(unknown)}: no such queue; known are "
                                 f"{', '.join(names)}{hint}")  # fmt: skip
    return [names[queue] for queue in queues]
