"""Dramatiq's Redis broker with every default that matters set, and with our consumer."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import redis
from dramatiq import Middleware, Worker
from dramatiq.broker import Consumer
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from actors.bell import Bell
from actors.consumer import QueueConsumer, QuietConsumer
from actors.ledger import Ledger
from agent.projections.connection import TIMEOUT_SECONDS, connect_redis
from agent.projections.doorbell import ring
from agent.settings import Settings

MAX_CONNECTIONS = 32
"""Consumer threads, one listener, one beat, one bell; worker threads need one for dead letters."""
FALLBACK_SECONDS = 1.0
"""When a consumer that was not woken looks by itself."""


class AgentBroker(RedisBroker):
    """One namespace's queues, as one process sees them.

    Args:
        client: for the queues; gives bytes, since a foreign message may be anything.
        news: for pub/sub and the views of `agent.projections`; gives text.
        namespace: Dramatiq's own.
        agent_namespace: ours, for the wake channels and the doorbell.
        middleware: all there is; Dramatiq's default list is not used.
    """

    client: redis.Redis

    def __init__(
        self,
        client: redis.Redis,
        news: redis.Redis,
        *,
        namespace: str,
        agent_namespace: str,
        middleware: Iterable[Middleware],
        fallback_seconds: float = FALLBACK_SECONDS,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # dramatiq has no types here
            client=client, namespace=namespace, middleware=list(middleware)
        )
        self.actor_options.add("max_retries")  # stated on each actor, should anyone add Retries
        self.news = news
        self.agent_namespace = agent_namespace
        self.fallback_seconds = fallback_seconds
        self.bell = Bell(lambda: ring(news, agent_namespace))
        self.settle_bell = Bell(lambda: ring(news, agent_namespace, "settle"))
        self.share: int | None = None
        self._ledgers: dict[str, Ledger] = {}
        self._lock = threading.Lock()
        self._held = False
        self._draining = threading.Event()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """A consumer for a queue; how far ahead it fetches and how it waits is its own matter."""
        if queue_name in self.delay_queues:
            return QuietConsumer(self)
        return QueueConsumer(self, queue_name, prefetch)

    def serve(self, worker: Worker) -> list[str]:
        """Share the worker's threads among the queues that it serves, and say which these are."""
        queues = served_queues(self, worker)
        self.share = max(1, worker.worker_threads // max(1, len(queues)))
        return queues

    def ledger(self, queue_name: str, prefetch: int) -> Ledger:
        """What this process holds of a queue. Without `serve`, Dramatiq's prefetch is taken for
        twice the threads, which it is."""
        with self._lock:
            if queue_name not in self._ledgers:
                share = self.share if self.share is not None else max(1, prefetch // 2)
                self._ledgers[queue_name] = Ledger(share)
            return self._ledgers[queue_name]

    @property
    def opened(self) -> bool:
        """Whether everything a context needs is there, so that fetching makes sense."""
        return not self._held

    @property
    def draining(self) -> bool:
        """Whether the process is on its way out."""
        return self._draining.is_set()

    @property
    def fetching(self) -> bool:
        return not (self._held or self.draining)

    def hold(self) -> None:
        """Fetch nothing until `release`."""
        self._held = True

    def release(self) -> None:
        """Fetch from now on, unless the process is draining."""
        self._held = False
        self.wake()

    def drain(self) -> None:
        """Fetch nothing any more."""
        self._draining.set()
        self.wake()

    def pause(self, seconds: float) -> None:
        """Sleep so long, or until the process drains."""
        self._draining.wait(seconds)

    def wake(self, queue_name: str | None = None) -> None:
        """Have the consumer of this queue, or of all, look at once."""
        with self._lock:
            ledgers = [
                ledger for name, ledger in self._ledgers.items() if queue_name in (None, name)
            ]
        for ledger in ledgers:
            ledger.hear()

    def acks_key(self, queue_name: str) -> str:
        """The set of this process's messages that are fetched and not acknowledged."""
        return f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}"

    def messages_key(self, queue_name: str) -> str:
        """The messages of a queue by their ids."""
        return f"{self.namespace}:{queue_name}.msgs"

    def close(self) -> None:
        """Let go of the connections."""
        self.client.close()
        self.news.close()


def served_queues(broker: RedisBroker, worker: Worker) -> list[str]:
    """The queues that `-Q` names, or all."""
    return sorted(worker.consumer_whitelist or broker.get_declared_queues())


def make_broker(settings: Settings, middleware: Sequence[Middleware]) -> AgentBroker:
    """The broker of the settings. Nothing is connected yet.

    Raises:
        ConfigurationError: the Redis URL cannot be read.
    """
    news = connect_redis(settings, max_connections=MAX_CONNECTIONS, name="actors")
    return AgentBroker(
        _giving_bytes(news),
        news,
        namespace=settings.dramatiq_namespace,
        agent_namespace=settings.namespace,
        middleware=middleware,
    )


def _giving_bytes(client: redis.Redis) -> redis.Redis:
    """A client like this one that leaves replies undecoded: one foreign byte in a message would
    cost the connection and the batch.

    Nor does it send anything again by itself. A fetch whose reply was lost has had its effect: a
    second one brings other messages, and nobody would miss the first ones.
    """
    pool = client.connection_pool
    return redis.Redis.from_pool(
        redis.BlockingConnectionPool(  # type: ignore[no-untyped-call]  # redis has none here
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            connection_class=pool.connection_class,
            **{
                **pool.connection_kwargs,
                "decode_responses": False,
                "retry": Retry(NoBackoff(), 0),
            },
        )
    )
