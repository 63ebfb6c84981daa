"""Our consumers: one that is woken instead of polling, and one that leaves delay queues alone.

Dramatiq's own polls with a growing pause, asks Redis for each acknowledgement, and loses a whole
batch over one message that cannot be read.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import redis
from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import _RedisConsumer
from dramatiq.errors import ConnectionClosed, DecodeError

from agent.logs import get_logger
from agent.projections.doorbell import wake_channel

if TYPE_CHECKING:
    from actors.broker import AgentBroker

DRAINING_PAUSE_SECONDS = 0.1
HEARTBEAT_SECONDS = 10.0
"""Dramatiq gives a silent process's messages to others after 60 s."""
QUIET_SECONDS = 1.0

log = get_logger()


def read_message(data: bytes | None, queue: str) -> Message[Any] | None:
    """The message, or None if it is not one that a worker thread can take and acknowledge."""
    if data is None:
        return None
    try:
        message: Message[Any] = Message.decode(data)
    except DecodeError:
        return None
    options = message.options
    sound = (
        isinstance(options, dict)
        and isinstance(options.get("redis_message_id"), str)
        and "eta" not in options  # it would wait in memory; we delay nothing
        and message.queue_name == queue  # a thread dies of another queue's
        and isinstance(message.actor_name, str)
        and isinstance(message.kwargs, dict)
        and isinstance(message.message_id, str)
    )
    return message if sound else None


def _closed(error: redis.RedisError) -> ConnectionClosed:
    return ConnectionClosed(str(error))  # type: ignore[no-untyped-call]  # dramatiq has none here


class QueueConsumer(_RedisConsumer):
    """Fetches one queue in batches, and sleeps until it is woken.

    It is woken by news over pub/sub and by its own acknowledgements; the timeout is only for news
    that got lost. Acknowledgements wait up to 50 ms for others and are told to Redis together: no
    worker thread ever waits for it. What is told twice or not at all does no harm, since every
    start is fenced.
    """

    def __init__(self, broker: AgentBroker, queue_name: str, prefetch: int) -> None:
        timeout = int(broker.fallback_seconds * 1000)
        super().__init__(broker, queue_name, prefetch, timeout)  # type: ignore[no-untyped-call]
        self._agent_broker = broker
        self._ledger = broker.ledger(queue_name, prefetch)
        self._cache: deque[Message[Any]] = deque()
        self._contact_at = time.monotonic()

    @property
    def outstanding_message_count(self) -> int:
        return len(self._ledger)

    def __next__(self) -> MessageProxy | None:
        if not self._cache:
            self._refill()
        return MessageProxy(self._cache.popleft()) if self._cache else None

    def ack(self, message: MessageProxy) -> None:
        """Note that the message is done; the consumer thread tells Redis."""
        if self._ledger.ack(message.options["redis_message_id"]):
            self._agent_broker.bell.ring()

    def nack(self, message: MessageProxy) -> None:
        """Move the message to the dead letters. An error here would kill the worker thread."""
        message_id = message.options["redis_message_id"]
        try:
            self._agent_broker.do_nack(self.queue_name, message_id)
        except redis.RedisError as exc:
            log.warning("message.nack_lost", queue=self.queue_name, error=str(exc))
        if self._ledger.drop(message_id):
            self._agent_broker.bell.ring()

    def requeue(self, messages: Iterable[MessageProxy | Message[Any]]) -> None:
        """Put messages that no thread took back into the queue, for other processes."""
        ids = [message.options["redis_message_id"] for message in messages]
        if not ids:
            return
        try:
            self._give_back(ids)
        except redis.RedisError as exc:
            # their leases bring them back
            log.warning("message.requeue_lost", queue=self.queue_name, error=str(exc))
        for message_id in ids:
            self._ledger.drop(message_id)

    def close(self) -> None:
        """Put back what was fetched and not handed out, and tell the last acknowledgements.

        At the end of the process also of what was cut off: it is settled, or left to its lease.
        Nobody would miss this process, and its messages would lie about for hours.
        """
        cached, self._cache = list(self._cache), deque()
        self.requeue(cached)
        if self._ledger.suspect:
            return
        if self._agent_broker.draining:
            self._ledger.give_up()
        self._flush(due=False)

    def _refill(self) -> None:
        broker = self._agent_broker
        room = self._ledger.room(broker.fallback_seconds) if broker.fetching else 0
        if room and self._ledger.suspect:
            self._look_for_strays()
        if room or (broker.opened and self._is_silent()):
            self._fetch(room)
        self._flush()
        if not self._cache:
            self._ledger.wait(
                DRAINING_PAUSE_SECONDS if broker.draining else broker.fallback_seconds
            )

    def _is_silent(self) -> bool:
        return time.monotonic() > self._contact_at + HEARTBEAT_SECONDS

    def _fetch(self, room: int) -> None:
        """Fetch up to so many; with 0 it is only a sign of life."""
        try:
            found = self._agent_broker.do_fetch(self.queue_name, room)
        except redis.RedisError as exc:
            first = not self._ledger.suspect
            self._ledger.suspect = True
            if not first or not isinstance(exc, redis.ConnectionError):
                raise _closed(exc) from exc
            self._ledger.hear()  # perhaps only this connection is broken: the next look tells
            return
        self._contact_at = time.monotonic()
        messages = [read_message(data, self.queue_name) for data in found]
        self._cache.extend(message for message in messages if message is not None)
        ids = [message.options["redis_message_id"] for message in self._cache]
        if room and self._ledger.fetched(ids, short=len(found) < room):
            self._agent_broker.bell.ring()
        if None in messages:
            self._put_aside_unreadable()

    def _flush(self, *, due: bool = True) -> None:
        acked = self._ledger.take_acked(due=due)
        if not acked:
            return
        broker = self._agent_broker
        try:
            with broker.client.pipeline(transaction=False) as pipeline:
                pipeline.srem(broker.acks_key(self.queue_name), *acked)
                pipeline.hdel(broker.messages_key(self.queue_name), *acked)
                pipeline.execute()
        except redis.RedisError as exc:
            self._ledger.give_back(acked)
            log.warning("message.acks_waiting", queue=self.queue_name, error=str(exc))

    def _put_aside_unreadable(self) -> None:
        try:
            self._sort_out_strays()
        except redis.RedisError as exc:  # the batch's good messages go on
            self._ledger.suspect = True
            log.warning("message.unreadable", queue=self.queue_name, error=str(exc))

    def _look_for_strays(self) -> None:
        try:
            self._sort_out_strays()
        except redis.RedisError as exc:
            raise _closed(exc) from exc
        self._ledger.suspect = False

    def _sort_out_strays(self) -> None:
        """Put aside what Redis notes as fetched by us but no thread can get: the unreadable with
        the dead letters, and what a lost reply brought back into the queue.

        A fetch does not say the ids of what it brings, so those that we do know are subtracted.
        """
        broker = self._agent_broker
        noted = cast(set[bytes], broker.client.smembers(broker.acks_key(self.queue_name)))
        ids = sorted({message_id.decode() for message_id in noted} - self._ledger.known)
        if not ids:
            return
        found = broker.client.hmget(broker.messages_key(self.queue_name), ids)
        texts = cast(list[bytes | None], found)
        readable: list[str] = []
        for message_id, text in zip(ids, texts, strict=True):
            if read_message(text, self.queue_name) is not None:
                readable.append(message_id)
                continue
            what = "message.missing" if text is None else "message.unreadable"
            log.error(what, queue=self.queue_name, redis_message_id=message_id)
            broker.do_nack(self.queue_name, message_id)
        if readable:
            self._give_back(readable)

    def _give_back(self, ids: list[str]) -> None:
        broker = self._agent_broker
        broker.do_requeue(self.queue_name, *ids)
        broker.client.publish(wake_channel(broker.agent_namespace, self.queue_name), "")


class QuietConsumer(Consumer):
    """For the delay queue that Dramatiq keeps beside each queue: we delay nothing, so it asks
    nothing."""

    def __init__(self, broker: AgentBroker) -> None:
        self._broker = broker

    def __next__(self) -> None:
        if self._broker.draining:
            time.sleep(DRAINING_PAUSE_SECONDS)
        else:
            self._broker.pause(QUIET_SECONDS)

    def ack(self, message: MessageProxy) -> None:
        """It hands out no message."""

    def nack(self, message: MessageProxy) -> None:
        """It hands out no message."""

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """It hands out no message."""
