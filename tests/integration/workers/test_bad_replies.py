"""Replies that are anything at all: each has an outcome, and each outcome can be stored, or is said
to be none that can."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import outcomes
from agent.errors import CallError, NotStorable
from agent.models import Document
from agent.outcomes import Kind, Outcome
from agent.replies import Reply, origin_of
from agent.services import GENERATIVE, OnAmbiguous
from agent.store.changes import Hold
from agent.store.connection import check_storable
from agent.workers.call import Attempt
from agent.workers.settle import Ran, write_of
from agent.workers.transport import Transport
from agent.workers.worker_base import ClientWorker
from tests.factories import a_context
from tests.strategies import BODIES, HEADERS, STATUSES, tried

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE_URL = "http://base.example/api"
POLICIES: st.SearchStrategy[OnAmbiguous] = st.sampled_from(["retry", "park"])
REMOTE = {"status_url": f"{BASE_URL}/1", "accepted_at": NOW, "polls": 3}


def check(outcome: Outcome, document: Document) -> None:
    """It says enough, and MongoDB takes it; or it refuses the results alone."""
    assert isinstance(outcome, Outcome)
    ran = Ran(document, Hold("ctx_1", 1, "t"), "worker:1", bool(document.get("remote")), 0.1, "0")
    write = write_of(outcome, ran, NOW, lambda: 0.5)
    try:
        check_storable(write.update)
    except NotStorable:
        assert outcome.kind is Kind.COMPLETED
    if outcome.kind in (Kind.FAILED, Kind.RETRY, Kind.SNOOZE):
        assert outcome.error is not None
        assert outcome.error.message
    if outcome.remote_url is not None:
        assert origin_of(outcome.remote_url) == origin_of(BASE_URL)


@tried(500, thorough=50_000)
@given(STATUSES, HEADERS, BODIES, POLICIES)
def test_any_reply_has_an_outcome(
    status: int, headers: dict[str, str], body: bytes, policy: OnAmbiguous
) -> None:
    """Of a call and of a poll; accepted work is never asked for at another origin."""
    reply = Reply(status, headers, body)
    read = outcomes.read_reply(
        reply, on_ambiguous=policy, now=NOW, base_url=BASE_URL, status_path="/contexts/{id}"
    )
    check(read, a_context())
    check(outcomes.read_poll(reply, now=NOW), a_context(remote=REMOTE))


class Service:
    """Answers every connection with the same bytes, whatever it was asked."""

    def __init__(self) -> None:
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name="service")
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    while b"\r\n\r\n" not in connection.recv(65536, socket.MSG_PEEK):
                        pass
                    connection.recv(65536)
                    connection.sendall(self.answer)
                except OSError:
                    continue  # who asked has hung up

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


LINES = st.one_of(
    st.sampled_from(
        [b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 9999999999999999999999",
         b"Content-Length: 1, 2", b"Content-Length: x", b"Transfer-Encoding: chunked",
         b"Transfer-Encoding: gzip", b"Content-Encoding: gzip", b"Content-Encoding: deflate",
         b"Content-Encoding: br", b"Location: //evil.example/", b"Location: /\xff", b"X: \x00",
         b"no colon", b": empty", b"Retry-After: 1e400", b"Connection: close", b" folded"]
    ),
    st.binary(max_size=8),
)  # fmt: skip
STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 202 Accepted", b"HTTP/1.1 503 x", b"HTTP/1.1 100 Continue",
     b"HTTP/1.1 101 x", b"HTTP/1.1 204 x", b"HTTP/1.0 200 OK", b"HTTP/2 200", b"HTTP/1.1 999",
     b"HTTP/1.1 20 x", b"HTTP/1.1 abc", b"ICY 200 OK", b"", b"\x16\x03\x01"]
)  # fmt: skip
PAYLOADS = st.one_of(
    BODIES,
    BODIES.map(zlib.compress),
    st.sampled_from(
        [
            b'5\r\n{"a":\r\n0\r\n\r\n',
            b"ffffffffffffffff\r\n",
            b"zz\r\n",
            b"2;x=y\r\n{}\r\n0\r\n\r\n",
        ]
    ),
)


def _raw(parts: tuple[bytes, list[bytes], bytes, int]) -> bytes:
    first, lines, payload, cut = parts
    whole = b"\r\n".join([first, *lines, b"", payload])
    return whole[:cut] if cut else whole


RAW = st.tuples(
    STATUS_LINES, st.lists(LINES, max_size=4), PAYLOADS, st.sampled_from([0, 0, 0, 3, 20, 60])
).map(_raw)


@tried(250, thorough=10_000)
@given(RAW)
def test_any_bytes_are_a_reply_or_an_error_of_ours(service: Service, raw: bytes) -> None:
    """Nothing that a server of no manners sends gets past the transport as another exception."""
    service.answer = raw
    transport = Transport(service.url, timeout=30, max_response_bytes=200_000, keep_alive=False)
    try:
        reply = transport.send("POST", "/x", {}, b"{}", deadline=time.monotonic() + 30)
        assert 200 <= reply.status_code < 1000
    except CallError as exc:
        told = str(exc)
        assert told
    finally:
        transport.close()


class Generative(ClientWorker):
    service = GENERATIVE


@tried(100, thorough=5000)
@given(RAW, st.booleans())
def test_any_bytes_have_an_outcome(service: Service, raw: bytes, polls: bool) -> None:
    """A call and a poll never raise."""
    service.answer = raw
    worker = Generative(base_url=service.url, timeout=30)
    remote: Any = {**REMOTE, "status_url": f"{service.url}/1"}
    context = a_context(remote=remote) if polls else a_context()
    attempt = Attempt(number=1, deadline=time.monotonic() + 30, now=lambda: NOW, trace_id="0" * 32)
    try:
        outcome = worker.carry_out(context, attempt=attempt)
    finally:
        worker.close()
    assert isinstance(outcome, Outcome)
    assert outcome.kind is not Kind.RELEASED
