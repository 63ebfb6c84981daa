"""Wakes the consumers when the bridge says that their queue has messages."""

from __future__ import annotations

from dramatiq import Broker, Middleware, Worker

from actors.broker import AgentBroker
from agent.projections.doorbell import Listener, wake_channel


class Wake(Middleware):
    """One listener a process, for the queues that it serves."""

    def __init__(self) -> None:
        self._listener: Listener | None = None

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Begin to listen, before the consumers look for the first time."""
        assert isinstance(broker, AgentBroker)
        queues = {
            wake_channel(broker.agent_namespace, queue): queue for queue in broker.serve(worker)
        }

        def wake(channel: str, _text: str) -> None:
            broker.wake(queues[channel])

        self._listener = Listener(broker.news, queues, wake, name="wake")
        self._listener.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.stop()
