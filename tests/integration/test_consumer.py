"""The consumer on a real redis-server, inside a real Dramatiq worker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
import redis
from bson import ObjectId
from pydantic import SecretStr

from actors.bell import Bell
from actors.broker import make_broker
from actors.middleware.dead_letters import DeadLetters
from actors.middleware.wake import Wake
from actors.run import declare_actors
from agent.errors import BrokerUnavailable
from agent.models import Claim
from agent.projections.doorbell import Listener, doorbell_channel, wake_channel
from agent.services import ServiceRegistry
from agent.settings import Settings
from bridge.enqueue import enqueue
from bridge.message import build_message
from tests.faults.proxy import Proxy
from tests.servers import RedisServer
from tests.waiting import wait_until

QUEUE = "generative"
LIST, TEXTS = f"dramatiq:{QUEUE}", f"dramatiq:{QUEUE}.msgs"
DEAD, DEAD_TEXTS = f"{LIST}.XQ", f"{LIST}.XQ.msgs"
THREADS = 4


class StandInCarrier:
    """Notes what it is given; `hold` keeps its calls from ending."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, int, str]] = []
        self.ended = 0
        self.ending = threading.Event()
        self.ending.set()
        self.crash = False
        self.running: list[dict[str, Any]] = []

    def run(self, service_type: str, context_id: Any, fence: int, claim_id: str) -> None:
        self.calls.append((service_type, context_id, fence, claim_id))
        if self.crash:
            raise RuntimeError("a bug")
        assert self.ending.wait(30)
        self.ended += 1

    def check(self, service_types: object) -> None: ...
    def open(self) -> None: ...
    def flush(self) -> None: ...
    def drain(self, grace: timedelta) -> None: ...
    def close(self) -> None: ...


class Line:
    """A broker, a worker and what a test asks of both."""

    def __init__(
        self,
        server: RedisServer,
        *,
        fallback_seconds: float = 60.0,
        settings: Settings | None = None,
    ) -> None:
        self.client = server.connect()
        self.carrier = StandInCarrier()
        self.broker = make_broker(settings or server.settings(), [Wake(), DeadLetters()])
        self.broker.fallback_seconds = fallback_seconds
        declare_actors(self.broker, ServiceRegistry(), lambda: self.carrier)
        self.worker = dramatiq.Worker(
            self.broker, queues={QUEUE}, worker_threads=THREADS, worker_timeout=100
        )

    def start(self) -> None:
        """Start the worker, and wait until its consumer sleeps with nothing but news to wake it."""
        self.worker.start()
        channel = wake_channel("agent", QUEUE)
        wait_until(lambda: dict(self.client.pubsub_numsub(channel))[channel] == 1)
        wait_until(lambda: self.client.exists("dramatiq:__heartbeats__"))

    def stop(self) -> None:
        self.carrier.ending.set()
        self.broker.drain()
        self.worker.stop()
        self.broker.close()
        self.client.close()

    def enqueue(self, *context_ids: object) -> None:
        claims = [Claim(context_id, 1, "claim_1") for context_id in context_ids]
        enqueue(self.client, "dramatiq", "agent", QUEUE, claims)

    def put(self, text: bytes | None, message_id: str = "foreign") -> None:
        """Put something into the queue as it stands, without waking anybody."""
        if text is not None:
            self.client.hset(TEXTS, message_id, text)
        self.client.rpush(LIST, message_id)

    @property
    def seen(self) -> list[Any]:
        return [context_id for _, context_id, _, _ in self.carrier.calls]

    def is_empty(self) -> bool:
        """Whether Redis holds nothing of the queue: no message, no text, nothing unacknowledged."""
        return not self.client.keys(f"{LIST}*") and not self.client.keys("dramatiq:__acks__*")


@pytest.fixture
def line(redis_server: RedisServer) -> Iterator[Line]:
    line = Line(redis_server)
    yield line
    line.stop()


def test_a_message_of_the_bridge_is_carried_out_and_acknowledged(line: Line) -> None:
    """An id of any type arrives as it was, and Redis is empty afterwards."""
    line.start()
    object_id = ObjectId()
    line.enqueue("ctx_1", object_id, {"b": 1, "a": 2})
    wait_until(lambda: line.carrier.ended == 3)
    assert sorted(map(str, line.seen)) == sorted(["ctx_1", str(object_id), "{'b': 1, 'a': 2}"])
    assert ("GENERATIVE", object_id, 1, "claim_1") in line.carrier.calls
    wait_until(line.is_empty)


def test_the_bridge_writes_what_dramatiq_would(redis_server: RedisServer) -> None:
    """The same keys, the same fields: either may read what the other wrote."""
    line = Line(redis_server)
    actor = line.broker.get_actor(QUEUE)
    actor.send("ctx_1", 1, "claim_1")
    (theirs,) = line.client.hvals(TEXTS)
    message_id, ours = build_message(QUEUE, "ctx_1", 1, "claim_1")
    varying = {"options", "message_id", "message_timestamp"}
    expected, actual = json.loads(theirs), json.loads(ours)
    assert list(actual) == list(expected)
    assert {k: v for k, v in actual.items() if k not in varying} == {
        k: v for k, v in expected.items() if k not in varying
    }
    assert actual["options"] == {"redis_message_id": message_id}
    assert list(expected["options"]) == list(actual["options"])


def test_thousands_of_messages_arrive_once_each(line: Line) -> None:
    """More than one round trip of the bridge, many of the consumer."""
    line.start()
    line.enqueue(*range(2000))
    wait_until(lambda: line.carrier.ended >= 2000)
    wait_until(line.is_empty)
    assert sorted(line.seen) == list(range(2000))


def test_news_wakes_an_idle_consumer_long_before_its_timeout(line: Line) -> None:
    """The timeout is a minute here, so only the wake can be so quick."""
    line.start()
    for number in range(5):
        line.enqueue(number)
        wait_until(lambda number=number: line.carrier.ended == number + 1, timeout=5)  # type: ignore[misc]


def test_acknowledgements_alone_keep_a_full_consumer_fetching(line: Line) -> None:
    """What is in the queue already needs no second wake."""
    line.carrier.ending.clear()
    line.start()
    line.enqueue(*range(THREADS))
    wait_until(lambda: len(line.seen) == THREADS)
    for number in range(50):
        text = build_message(QUEUE, f"ctx_{number}", 1, "claim_1")
        line.put(text[1], text[0])
    line.broker.wake()
    line.carrier.ending.set()
    wait_until(lambda: line.carrier.ended == THREADS + 50, timeout=5)


def test_without_news_the_timeout_finds_the_message(redis_server: RedisServer) -> None:
    """Pub/sub loses what is said while nobody listens."""
    line = Line(redis_server, fallback_seconds=0.2)
    try:
        line.start()
        message_id, text = build_message(QUEUE, "ctx_1", 1, "claim_1")
        line.put(text, message_id)
        wait_until(lambda: line.seen == ["ctx_1"], timeout=5)
    finally:
        line.stop()


UNREADABLE = {
    "no JSON": b"\xff\xfe not json",
    "no message": b'{"queue_name": "generative"}',
    "another queue's": build_message("analysis", "ctx_0", 1, "c")[1],
    "no options": b'{"queue_name":"generative","actor_name":"generative","args":[],"kwargs":{},'
    b'"options":null,"message_id":"1","message_timestamp":1}',
    "delayed": b'{"queue_name":"generative","actor_name":"generative","args":[],"kwargs":{},'
    b'"options":{"redis_message_id":"foreign","eta":1},"message_id":"1","message_timestamp":1}',
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_message_is_set_aside_and_its_neighbours_delivered(
    line: Line, text: bytes
) -> None:
    """It lies among the dead letters, byte for byte, and nothing else is held up."""
    line.enqueue("before")
    line.put(text)
    line.enqueue("after")
    line.start()
    wait_until(lambda: line.carrier.ended == 2)
    assert sorted(line.seen) == ["after", "before"]
    wait_until(lambda: line.client.zrange(DEAD, 0, -1) == ["foreign"])
    assert line.broker.client.hget(DEAD_TEXTS, "foreign") == text
    wait_until(lambda: not line.client.exists(TEXTS) and not line.client.keys("*__acks__*"))


def test_an_id_without_its_message_is_dropped(line: Line) -> None:
    """Nothing is known of it, so there is no letter to keep; its neighbours are delivered."""
    line.put(None)
    line.enqueue("after")
    line.start()
    wait_until(lambda: line.seen == ["after"])
    wait_until(line.is_empty)


@pytest.mark.parametrize(
    "arguments", [[], ["ctx_1"], ["ctx_1", "1", "c"], [{"$oid": "short"}, 1, "c"], [1, True, "c"]]
)
def test_arguments_that_make_no_sense_are_acknowledged(line: Line, arguments: list[Any]) -> None:
    """The context's lease runs out; the message would never get better."""
    text = json.loads(build_message(QUEUE, "ctx_1", 1, "c")[1]) | {"args": arguments}
    text["options"] = {"redis_message_id": "foreign"}
    line.put(json.dumps(text).encode())
    line.enqueue("after")
    line.start()
    wait_until(lambda: line.seen == ["after"])
    wait_until(line.is_empty)


def test_the_message_of_a_crashed_actor_is_kept_for_people(line: Line) -> None:
    """It lies among the dead letters, and its thread goes on."""
    line.carrier.crash = True
    line.start()
    line.enqueue(*range(2 * THREADS))
    wait_until(lambda: line.client.zcard(DEAD) == 2 * THREADS)
    line.carrier.crash = False
    line.enqueue("after")
    wait_until(lambda: line.carrier.ended == 1)


def test_a_redis_that_is_away_kills_no_thread(own_redis: RedisServer) -> None:
    """Acknowledgements and rejections made meanwhile are survived; afterwards all goes on."""
    line = Line(own_redis, fallback_seconds=0.1)
    line.carrier.ending.clear()
    try:
        line.start()
        line.enqueue(*range(THREADS))
        wait_until(lambda: len(line.seen) == THREADS)
        own_redis.stop()
        line.carrier.ending.set()
        wait_until(lambda: line.carrier.ended == THREADS)
        own_redis.start()  # and it lost everything

        def goes_on() -> bool:
            try:
                line.enqueue("after")
            except BrokerUnavailable:
                return False
            return True

        wait_until(goes_on)
        wait_until(lambda: line.carrier.ended > THREADS, timeout=15)
        assert all(thread.is_alive() for thread in line.worker.workers)
        assert len(line.broker.ledger(QUEUE, 1)) == 0
    finally:
        line.stop()


@pytest.mark.parametrize("lost", [redis.TimeoutError, redis.ConnectionError, redis.ResponseError])
def test_a_lost_reply_to_a_fetch_strands_no_message(
    line: Line, monkeypatch: pytest.MonkeyPatch, lost: type[Exception]
) -> None:
    """Redis had handed the messages out; the restarted consumer finds them among its own."""
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.05)
    real = line.broker.do_fetch
    lose = threading.Event()

    def fetch(queue: str, room: int) -> Any:
        found = real(queue, room)
        if lose.is_set() and found:
            lose.clear()
            raise lost("the reply did not come")
        return found

    monkeypatch.setattr(line.broker, "do_fetch", fetch, raising=False)
    line.start()
    lose.set()
    line.enqueue("a", "b")
    wait_until(lambda: sorted(line.seen) == ["a", "b"], timeout=5)
    wait_until(line.is_empty)


def test_a_fetch_is_not_sent_twice_by_the_client_alone(redis_server: RedisServer) -> None:
    """The second one would bring other messages, and nobody would miss those of the first."""
    with Proxy.before(redis_server.url) as network:
        url = SecretStr(network.through(redis_server.url))
        line = Line(redis_server, settings=Settings(redis_url=url))
        try:
            line.start()
            network.lose_answer_to(b"EVALSHA")
            line.enqueue("a", "b")
            wait_until(lambda: sorted(line.seen) == ["a", "b"], timeout=5)
            assert network.lost_answers == 1
            wait_until(line.is_empty)
        finally:
            line.stop()


def test_a_failing_rejection_kills_no_thread(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message stays where it is; the thread takes the next one."""

    def refuse(*_: object) -> None:
        raise redis.TimeoutError("no answer")

    monkeypatch.setattr(line.broker, "do_nack", refuse, raising=False)
    line.carrier.crash = True
    line.start()
    line.enqueue(*range(3 * THREADS))
    wait_until(lambda: len(line.seen) == 3 * THREADS)
    line.carrier.crash = False
    line.enqueue("after")
    wait_until(lambda: line.carrier.ended == 1)


def test_a_failing_acknowledgement_is_tried_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread waits for it, and Redis hears of it in the end."""
    real = line.broker.client.pipeline
    failures = iter([redis.ConnectionError("gone"), redis.ResponseError("OOM")])

    def pipeline(*args: Any, **kwargs: Any) -> Any:
        for failure in failures:
            raise failure
        return real(*args, **kwargs)

    monkeypatch.setattr(line.broker.client, "pipeline", pipeline)
    line.start()
    line.enqueue(*range(20))
    wait_until(lambda: line.carrier.ended == 20)
    wait_until(line.is_empty)


def test_a_draining_process_fetches_nothing(line: Line) -> None:
    """What is enqueued from then on stays for others; what runs may end."""
    line.carrier.ending.clear()
    line.start()
    line.enqueue("running")
    wait_until(lambda: line.seen == ["running"])
    line.broker.drain()
    line.enqueue("for others")
    line.carrier.ending.set()
    wait_until(lambda: not line.client.keys("dramatiq:__acks__*"))
    line.worker.stop()
    assert line.seen == ["running"]
    assert line.client.llen(LIST) == line.client.hlen(TEXTS) == 1


def test_what_no_thread_took_goes_back_at_the_end(line: Line) -> None:
    """And the consumers of other processes are woken for it."""
    woken = threading.Event()
    listener = Listener(line.client, [wake_channel("agent", QUEUE)], lambda *_: woken.set())
    line.enqueue("taken", "b", "c")
    listener.start()
    try:
        assert listener.wait_until_connected(5)
        consumer = line.broker.consume(QUEUE, prefetch=2 * THREADS)
        taken = next(consumer)
        assert taken is not None
        assert taken.args == ("taken", 1, "claim_1")
        assert line.client.llen(LIST) == 0
        consumer.close()
        assert line.client.llen(LIST) == 2
        assert woken.wait(5)
        consumer.requeue([taken])
        assert line.client.llen(LIST) == line.client.hlen(TEXTS) == 3
        assert not line.client.keys("dramatiq:__acks__*")
    finally:
        listener.stop()


def test_what_was_cut_off_is_acknowledged_at_the_end(line: Line) -> None:
    """A thread that the process no longer waits for leaves no message in Redis."""
    line.broker.bell = Bell(lambda: None)  # that thread may ring when all is closed
    line.carrier.ending.clear()
    line.start()
    line.enqueue("ctx_1")
    wait_until(lambda: line.seen == ["ctx_1"])
    line.broker.drain()
    line.worker.stop(timeout=100)
    assert line.carrier.ended == 0
    assert line.is_empty()


def test_a_held_process_fetches_only_when_released(line: Line) -> None:
    """Until MongoDB answers there is nothing that it could do with a message."""
    line.broker.hold()
    line.enqueue("ctx_1")
    line.worker.start()
    wait_until(lambda: line.worker.consumers[QUEUE].consumer is not None)
    assert line.client.llen(LIST) == 1
    line.broker.release()
    wait_until(lambda: line.seen == ["ctx_1"])


def test_delay_queues_are_left_alone(line: Line) -> None:
    """A delay queue's consumer asks Redis nothing and hands out nothing."""
    message_id, text = build_message(QUEUE, "ctx_1", 1, "c")
    line.client.hset(f"{LIST}.DQ.msgs", message_id, text)
    line.client.rpush(f"{LIST}.DQ", message_id)
    line.start()
    line.enqueue("after")
    wait_until(lambda: line.carrier.ended == 1)
    consumer = line.worker.consumers[f"{QUEUE}.DQ"].consumer
    assert consumer is not None
    assert next(consumer) is None
    assert line.seen == ["after"]
    assert line.client.llen(f"{LIST}.DQ") == 1


def test_an_idle_consumer_leaves_redis_alone(redis_server: RedisServer) -> None:
    """A few commands a second at most, whatever the number of threads."""
    line = Line(redis_server, fallback_seconds=1.0)
    try:
        line.start()
        begun, started = _calls(line.client), time.monotonic()
        wait_until(lambda: time.monotonic() > started + 2)
        # the script's own commands count too: evalsha, zadd, lpop
        assert _calls(line.client) - begun <= 2 * 3 + 3 + 2
    finally:
        line.stop()


def test_the_bridge_is_rung_when_there_is_room(line: Line) -> None:
    """A context that ends while the queue is empty asks for the next one."""
    rung = threading.Event()
    listener = Listener(line.client, [doorbell_channel("agent")], lambda *_: rung.set())
    listener.start()
    try:
        assert listener.wait_until_connected(5)
        line.start()
        assert not rung.is_set()
        line.enqueue("ctx_1")
        assert rung.wait(5)
    finally:
        listener.stop()


def test_the_broker_has_only_the_middleware_that_is_listed(redis_server: RedisServer) -> None:
    """None of Dramatiq's defaults: no age limit, no time limit, no retries."""
    listed = [DeadLetters()]
    broker = make_broker(redis_server.settings(), listed)
    assert broker.middleware == listed
    assert broker.namespace == "dramatiq"
    broker.close()


def test_a_redis_that_is_away_is_an_error_of_ours(own_redis: RedisServer) -> None:
    """The bridge knows no error of redis-py."""
    own_redis.stop()
    line = Line(own_redis)
    with pytest.raises(BrokerUnavailable):
        line.enqueue("ctx_1")


def _calls(client: redis.Redis) -> int:
    """The commands that Redis has carried out, but for this question's own."""
    stats: dict[str, dict[str, int]] = client.info("commandstats")
    return sum(row["calls"] for name, row in stats.items() if name != "cmdstat_info")
