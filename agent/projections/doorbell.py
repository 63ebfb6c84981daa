"""News over Redis pub/sub: `there is work` for the bridge, `there are messages` for consumers.

Only a hint: whoever waits for it also looks by itself, so a ring that is lost costs a moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import redis
from redis.client import PubSub

from agent.errors import BrokerUnavailable
from agent.logs import get_logger
from agent.projections.connection import TIMEOUT_SECONDS, translate_redis_errors

POLL_SECONDS = 0.2
"""How soon a listener notices that it shall stop; a message comes through at once."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
SCHEDULES = "schedules"
"""What is rung when schedules have changed."""
VIEWS = "views"
"""What is rung when the views of retries and dead letters may no longer be true."""
CHANGES = frozenset({"foreign", "settle"})
"""What API, pages and commands ring when somebody has changed contexts: they then ring `VIEWS`."""
BATCHES = "batches"
"""What is rung when there is a new batch."""

Callback = Callable[[str, str], None]
"""Gets the channel and the text of a message."""

log = get_logger()


def doorbell_channel(namespace: str) -> str:
    """Where work is announced."""
    return f"{namespace}:doorbell"


def wake_channel(namespace: str, queue: str) -> str:
    """Where the messages of one queue are announced."""
    return f"{namespace}:wake:{queue}"


def ring(client: redis.Redis, namespace: str, what: str = "") -> bool:
    """Tell the bridge that there may be work. False when Redis is away: polling then finds it."""
    try:
        with translate_redis_errors():
            client.publish(doorbell_channel(namespace), what)
    except BrokerUnavailable:
        return False
    return True


def wake(client: redis.Redis, namespace: str, queue: str) -> None:
    """Tell the consumers of a queue that it has messages; on a pipeline, when that is executed.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    with translate_redis_errors():
        client.publish(wake_channel(namespace, queue), "")


class Listener(threading.Thread):
    """Calls back for every message on its channels, and survives every outage of Redis.

    It keeps one connection of the client's pool. What is published while it is not connected is
    lost.

    Args:
        callback: runs in this thread, so it should only set a flag; what it raises is logged.
    """

    def __init__(
        self,
        client: redis.Redis,
        channels: Iterable[str],
        callback: Callback,
        *,
        name: str = "listener",
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._client = client
        self._channels = tuple(channels)
        self._callback = callback
        self._stopping = threading.Event()
        self._connected = threading.Event()

    @property
    def connected(self) -> bool:
        """Whether Redis has confirmed every channel and the connection stands, as far as known."""
        return self._connected.is_set()

    def wait_until_connected(self, timeout: float) -> bool:
        """Wait for that, for so many seconds; whether it is so."""
        return self._connected.wait(timeout)

    def stop(self) -> None:
        """End the thread, and return when it has ended or after half a second."""
        self._stopping.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(timeout=0.5)

    def run(self) -> None:
        """Listen until stopped."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                self._listen()
            except Exception as exc:
                if self._connected.is_set():
                    pause = FIRST_PAUSE_SECONDS
                if pause == FIRST_PAUSE_SECONDS:  # once an outage, not once a try
                    log.warning("doorbell.disconnected", listener=self.name, error=str(exc))
            self._connected.clear()
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _listen(self) -> None:
        with self._client.pubsub() as pubsub:  # type: ignore[no-untyped-call]
            pubsub.subscribe(*self._channels)
            confirmed: set[str] = set()
            asked_at: float | None = None
            while not self._stopping.is_set():
                message = pubsub.get_message(timeout=POLL_SECONDS)
                if message is None:
                    asked_at = _check_answered(pubsub, asked_at)
                elif message["type"] == "subscribe":
                    confirmed.add(message["channel"])
                    if confirmed.issuperset(self._channels):
                        self._connected.set()
                elif message["type"] == "message":
                    self._call_back(message["channel"], message["data"])

    def _call_back(self, channel: str, data: str) -> None:
        try:
            self._callback(channel, data)
        except Exception:
            log.exception("doorbell.callback_failed", listener=self.name, channel=channel)


def _check_answered(pubsub: PubSub, asked_at: float | None) -> float | None:
    """Since when a health check of redis-py is unanswered; it sends them, but never misses one.

    Raises:
        redis.TimeoutError: for too long; the peer is gone without a word.
    """
    if not pubsub.health_check_response_counter:
        return None
    now = time.monotonic()
    if asked_at is not None and now - asked_at > TIMEOUT_SECONDS:
        raise redis.TimeoutError("no answer to a health check")
    return now if asked_at is None else asked_at
