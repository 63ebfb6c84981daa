"""The transport against real sockets that misbehave."""

import contextlib
import gzip
import socket
import ssl
import struct
import subprocess
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.errors import (
    CallError,
    Draining,
    OutcomeUnknown,
    ReplyTooLarge,
    RequestNotSendable,
    ServiceUnavailable,
    TlsFailed,
)
from agent.replies import Reply
from agent.workers.transport import Transport

LIMIT = 64 * 1024
MEGABYTE = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Behaviour = Callable[[socket.socket, "Service"], None]


class Service:
    """A server on a real port; every connection is handed to the behaviour under test."""

    def __init__(self, behaviour: Behaviour, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self._behaviour = behaviour
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def read_request(self, connection: socket.socket) -> bytes:
        """One whole request; b"" when the caller closed the connection."""
        data = b""
        while True:
            head, end, body = data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            if end and len(body) >= length:
                self.requests.append(data)
                return data
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece

    def stop(self) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(5)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            if self._context is None:
                self._behaviour(connection, self)
                return
            with self._context.wrap_socket(connection, server_side=True) as secure:
                self._behaviour(secure, self)


@contextmanager
def serving(behaviour: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[Service]:
    service = Service(behaviour, context)
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def calling(
    url: str, *, keep_alive: bool = True, ssl_context: ssl.SSLContext | None = None
) -> Iterator[Transport]:
    transport = Transport(
        url,
        SecretStr("k-123\n"),
        timeout=60,
        max_response_bytes=LIMIT,
        keep_alive=keep_alive,
        ssl_context=ssl_context,
    )
    try:
        yield transport
    finally:
        transport.close()


def post(
    transport: Transport,
    path: str = "/work",
    *,
    seconds: float = 5.0,
    body: bytes = b"{}",
    before_send: Callable[[], None] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    return transport.send(
        "POST",
        path,
        headers or {},
        body,
        deadline=time.monotonic() + seconds,
        before_send=before_send,
    )


def replying(*pieces: bytes) -> Behaviour:
    """Answers every request with the same bytes, on one connection until the caller closes it."""

    def behave(connection: socket.socket, service: Service) -> None:
        while service.read_request(connection):
            for piece in pieces:
                connection.sendall(piece)

    return behave


def replying_once(*pieces: bytes) -> Behaviour:
    """Answers one request, then closes."""

    def behave(connection: socket.socket, service: Service) -> None:
        service.read_request(connection)
        for piece in pieces:
            connection.sendall(piece)

    return behave


def dripping(head: bytes, drop: bytes) -> Behaviour:
    """Sends the head, then a drop every 20 ms, for ever."""

    def behave(connection: socket.socket, service: Service) -> None:
        service.read_request(connection)
        connection.sendall(head)
        while not service.over.wait(0.02):
            connection.sendall(drop)

    return behave


def encoded(encoding: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def raises_within(
    seconds: float, error: type[CallError], match: str | None = None
) -> AbstractContextManager[object]:
    @contextmanager
    def check() -> Iterator[None]:
        started = time.monotonic()
        with pytest.raises(CallError, match=match) as caught:
            yield
        assert error is type(caught.value)
        assert time.monotonic() - started < seconds

    return check()


def test_a_call_carries_its_headers_and_its_body_in_one_piece() -> None:
    """What is sent is one request with the key, a length, and no wish for compression."""
    with serving(replying(OK)) as service, calling(service.url + "/base/") as transport:
        reply = post(transport, "/work?x=1", body=b'{"a":1}', headers={"X-Attempt": "3"})

    assert (reply.status_code, reply.body, reply.headers["content-length"]) == (200, b"{}", "2")
    head, _, body = service.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /base/work?x=1 HTTP/1.1"
    assert {
        b"Host: 127.0.0.1:%d" % service.port,
        b"Authorization: Bearer k-123",
        b"Accept-Encoding: identity",
        b"Content-Length: 7",
        b"X-Attempt: 3",
    } == set(lines[1:])
    assert body == b'{"a":1}'


def test_calls_of_one_thread_share_a_connection() -> None:
    """Keep-alive saves the handshake where nothing speaks against it."""
    with serving(replying(OK)) as service, calling(service.url) as transport:
        for _ in range(3):
            post(transport)

    assert service.connections == 1


def test_without_keep_alive_each_call_has_a_connection_of_its_own() -> None:
    """No call of a service that parks can meet a stale connection."""
    with (
        serving(replying(OK)) as service,
        calling(service.url, keep_alive=False) as transport,
    ):
        for _ in range(3):
            post(transport)

    assert service.connections == 3
    assert b"Connection: close" in service.requests[0]


def test_threads_do_not_share_connections() -> None:
    """Ten threads at once have ten connections, and all get their replies."""
    barrier = threading.Barrier(10)

    def behave(connection: socket.socket, service: Service) -> None:
        service.read_request(connection)
        barrier.wait(5)
        connection.sendall(OK)

    replies: list[Reply] = []
    with serving(behave) as service, calling(service.url) as transport:
        threads = [
            threading.Thread(target=lambda: replies.append(post(transport))) for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    assert (service.connections, len(replies)) == (10, 10)


def test_a_connection_that_the_service_closed_is_noticed_before_it_is_used() -> None:
    """A stale connection costs nothing: the next call opens another."""
    closed = threading.Event()

    def behave(connection: socket.socket, service: Service) -> None:
        service.read_request(connection)
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    with serving(behave) as service, calling(service.url) as transport:
        post(transport)
        assert closed.wait(5)
        post(transport)

    assert service.connections == 2


def test_a_connection_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the expiry a call opens a connection rather than trusting the old one."""
    monkeypatch.setattr("agent.workers.transport.KEEP_ALIVE_SECONDS", 0.0)
    with serving(replying(OK)) as service, calling(service.url) as transport:
        post(transport)
        post(transport)

    assert service.connections == 2


def test_a_refused_connection_is_a_service_that_is_away() -> None:
    """Nothing was sent, and the error says where to."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with (
        calling(f"http://127.0.0.1:{port}") as transport,
        raises_within(2, ServiceUnavailable, f"127.0.0.1:{port}: Connection refused"),
    ):
        post(transport)


def test_a_host_without_an_address_is_a_service_that_is_away() -> None:
    """A name that does not resolve may resolve later."""
    with (
        calling("http://no-such-host.invalid") as transport,
        raises_within(5, ServiceUnavailable, "cannot connect"),
    ):
        post(transport)


def test_a_connection_that_is_never_accepted_ends_at_the_deadline() -> None:
    """Connecting is part of the one deadline, and nothing was sent."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with contextlib.ExitStack() as crowd:
            for _ in range(4):  # they fill the backlog, so that the kernel answers nobody else
                visitor = crowd.enter_context(socket.socket())
                visitor.setblocking(False)
                visitor.connect_ex(listener.getsockname())
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with calling(url) as transport, raises_within(2, ServiceUnavailable, "timed out"):
                post(transport, seconds=0.3)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "behave",
    [
        dripping(b"", b""),
        dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drop: 1\r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n", b" "),
        dripping(CHUNKED, b"1\r\n \r\n"),
    ],
    ids=["silence", "headers", "interim replies", "body", "chunks"],
)
def test_a_slow_reply_ends_at_the_deadline_of_the_whole_call(behave: Behaviour) -> None:
    """Every drop comes in time for a read timeout; the call has one deadline all the same."""
    with (
        serving(behave) as service,
        calling(service.url) as transport,
        raises_within(1.5, OutcomeUnknown, "no whole reply within the deadline"),
    ):
        post(transport, seconds=0.3)


def test_a_service_that_does_not_read_ends_at_the_deadline() -> None:
    """Writing, too, is part of the one deadline."""

    def behave(connection: socket.socket, service: Service) -> None:
        service.over.wait(5)

    with (
        serving(behave) as service,
        calling(service.url) as transport,
        raises_within(1.5, OutcomeUnknown, "deadline"),
    ):
        post(transport, seconds=0.3, body=b"x" * (16 * MEGABYTE))


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    """No connection is opened for a call that cannot end in time."""
    with (
        serving(replying(OK)) as service,
        calling(service.url) as transport,
        raises_within(1, ServiceUnavailable, "deadline"),
    ):
        post(transport, seconds=-1)

    assert service.requests == []


def reset(connection: socket.socket, service: Service) -> None:
    """Reads the request, then resets the connection."""
    service.read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    "behave",
    [
        replying_once(),
        reset,
        replying_once(b"HTTP/1.1 200 OK\r\nContent-Le"),
        replying_once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"),
        replying_once(CHUNKED + b"2\r\n{}\r\n"),
        replying_once(b"SSH-2.0-OpenSSH\r\n\r\n"),
        replying_once(b"\x00" * 200_000),
        replying_once(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000),
        replying_once(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
        replying_once(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        replying_once(encoded("br", b"x")),
        replying_once(encoded("gzip, gzip", b"x")),
        replying_once(encoded("gzip", b"garbage")),
        replying_once(encoded("deflate", b"garbage")),
        replying_once(encoded("gzip", gzip.compress(b"{}" * 500, mtime=0)[:-9])),
    ],
    ids=[
        "closed",
        "reset",
        "headers cut",
        "body cut",
        "chunks cut",
        "no HTTP",
        "zeros",
        "endless header",
        "negative length",
        "upgrade",
        "unknown encoding",
        "encoded twice",
        "no gzip",
        "no deflate",
        "gzip cut",
    ],
)
def test_a_reply_that_is_not_whole_leaves_the_outcome_unknown(behave: Behaviour) -> None:
    """The request went out; whether the work was done, nobody knows."""
    with (
        serving(behave) as service,
        calling(service.url) as transport,
        raises_within(2, OutcomeUnknown),
    ):
        post(transport)


def test_an_early_reply_is_read_though_the_request_was_not() -> None:
    """A service that refuses a body before it has read it still has its say."""

    def behave(connection: socket.socket, service: Service) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(MEGABYTE):
            pass

    with serving(behave) as service, calling(service.url) as transport:
        assert post(transport, body=b"x" * MEGABYTE).status_code == 413


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_every_whole_reply_is_handed_on(status: int) -> None:
    """The transport judges nothing and follows nothing."""
    raw = b"HTTP/1.1 %d X\r\nLocation: /a\r\nA: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n" % status
    with serving(replying(raw)) as service, calling(service.url) as transport:
        reply = post(transport)

    assert (status, "/a", "1, 2") == (
        reply.status_code,
        reply.headers["location"],
        reply.headers["a"],
    )
    assert len(service.requests) == 1


def test_a_reply_that_ends_with_its_connection_is_whole() -> None:
    """HTTP/1.0 has no other end; its JSON says whether something is missing."""
    with (
        serving(replying_once(b"HTTP/1.0 200 OK\r\n\r\n{}")) as service,
        calling(service.url) as transport,
    ):
        assert post(transport).body == b"{}"


BOMB = gzip.compress(b" " * (200 * MEGABYTE))


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        CHUNKED + b"%x\r\n" % (LIMIT + 1) + b"x" * (LIMIT + 1) + b"\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (4 * LIMIT),
        encoded("deflate", zlib.compress(b" " * (LIMIT + 1))),
        encoded("gzip", gzip.compress(b"x" * 1000, mtime=0) * 70),
    ],
    ids=["announced", "chunked", "unannounced", "deflated", "many gzip members"],
)
def test_a_reply_over_the_limit_is_not_read_to_its_end(raw: bytes) -> None:
    """The limit counts what comes over the wire, and what it decodes to."""
    with (
        serving(replying(raw)) as service,
        calling(service.url) as transport,
        raises_within(2, ReplyTooLarge, f"over {LIMIT} bytes"),
    ):
        post(transport)


def test_a_compressed_bomb_costs_no_more_than_the_limit() -> None:
    """200 MB in 200 kB of gzip are not unpacked."""
    with (
        serving(replying(encoded("gzip", BOMB))) as service,
        calling(service.url) as transport,
    ):
        transport._max_bytes = len(BOMB) + 1
        tracemalloc.start()
        try:
            with raises_within(5, ReplyTooLarge):
                post(transport)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak < 8 * len(BOMB)


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)),
        ("X-GZIP", gzip.compress(b'{"a"', mtime=0) + gzip.compress(b": 1}", mtime=0) + b"\0\0"),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("deflate", raw_deflate(b'{"a": 1}')),
        ("identity", b'{"a": 1}'),
    ],
    ids=["gzip", "gzip in two members", "zlib", "raw deflate", "none"],
)
def test_compression_that_nobody_asked_for_is_understood(encoding: str, raw: bytes) -> None:
    """Some services compress whatever the request says."""
    with (
        serving(replying(encoded(encoding, raw))) as service,
        calling(service.url) as transport,
    ):
        assert post(transport).body == b'{"a": 1}'


def test_a_call_after_one_that_failed_starts_afresh() -> None:
    """A connection in an unknown state is never used again."""
    replies = iter([b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}", OK])

    def behave(connection: socket.socket, service: Service) -> None:
        service.read_request(connection)
        connection.sendall(next(replies))
        service.read_request(connection)

    with serving(behave) as service, calling(service.url) as transport:
        with raises_within(2, ReplyTooLarge):
            post(transport)
        assert post(transport).body == b"{}"


def test_before_send_comes_when_the_connection_stands_and_nothing_is_written() -> None:
    """A shutdown that comes by then takes the call back, and the service sees no byte of it."""

    def drain() -> None:
        raise Draining("stopping")

    with serving(replying(OK)) as service, calling(service.url) as transport:
        with raises_within(2, Draining):
            post(transport, before_send=drain)
        post(transport, body=b"second")

    assert len(service.requests) == 1
    assert service.requests[0].endswith(b"second")


def test_before_send_is_not_called_while_there_is_no_connection() -> None:
    """What was never sent is not marked as sent."""
    called: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with calling(url) as transport, raises_within(2, ServiceUnavailable):
        post(transport, before_send=lambda: called.append(True))

    assert called == []


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/x",
        "https://127.0.0.1/x",
        "http://127.0.0.1:1/x",
        "http://user@127.0.0.1/x",
        "work",
        "",
        "ftp://127.0.0.1/",
        "http://127.0.0.1:x/",
        "/a\x00b",
    ],
)
def test_a_url_elsewhere_is_never_called(url: str) -> None:
    """The key goes to the origin of the base URL alone."""
    with calling("http://127.0.0.1") as transport, raises_within(1, RequestNotSendable):
        post(transport, url)


def test_an_absolute_url_of_the_service_is_called() -> None:
    """Accepted work is asked for where the service said."""
    with serving(replying(OK)) as service, calling(service.url + "/base") as transport:
        deadline = time.monotonic() + 5
        transport.send("GET", service.url + "/status/1", {}, None, deadline=deadline)

    assert service.requests[0].startswith(b"GET /status/1 HTTP/1.1\r\n")
    assert b"Content-Length" not in service.requests[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "a\r\nX-B: b"),
        ("X-A", "a\nb"),
        ("X-A", "a\x00b"),
        ("X-A", "日本"),
        ("X A", "a"),
        ("", "a"),
        ("X-Ä", "a"),
        ("Host", "other.example"),
        ("Content-Length", "0"),
    ],
)
def test_a_header_cannot_break_out_of_its_line(name: str, value: str) -> None:
    """Such a header names itself in the error, never its value."""
    with (
        calling("http://127.0.0.1") as transport,
        pytest.raises(RequestNotSendable, match="header") as caught,
    ):
        post(transport, headers={name: value})

    assert value not in str(caught.value) or value == "a"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key."""
    path = tmp_path_factory.mktemp("tls") / "service.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=test", "-keyout", str(path)]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(path.with_suffix(".crt"))]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture(scope="module")
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="module")
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))


def test_a_trusted_service_is_called_over_tls(
    server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Calls share one TLS connection as they would a plain one."""
    with (
        serving(replying(OK), server_context) as service,
        calling(service.url, ssl_context=trusting) as transport,
    ):
        assert [post(transport).body for _ in range(3)] == [b"{}"] * 3


def test_a_certificate_that_is_not_trusted_is_refused_for_good(
    server_context: ssl.SSLContext,
) -> None:
    """Trying again cannot help, and nothing was sent."""
    with (
        serving(replying(OK), server_context) as service,
        calling(service.url) as transport,
        raises_within(2, TlsFailed, "certificate refused: self-signed certificate"),
    ):
        post(transport)

    assert service.requests == []


def test_a_certificate_for_another_name_is_refused_for_good(
    server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """The right authority does not make up for the wrong name."""
    with (
        serving(replying(OK), server_context) as service,
        calling(f"https://localhost:{service.port}", ssl_context=trusting) as transport,
        raises_within(2, TlsFailed, "certificate refused"),
    ):
        post(transport)


def test_a_plain_service_behind_an_https_url_is_refused_for_good() -> None:
    """A service that does not speak TLS will not learn it by the next attempt."""

    def behave(connection: socket.socket, service: Service) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with (
        serving(behave) as service,
        calling(service.url.replace("http:", "https:")) as transport,
        raises_within(2, TlsFailed),
    ):
        post(transport)


def closing(connection: socket.socket, service: Service) -> None:
    """Closes amid the handshake."""
    connection.recv(1000)


def resetting(connection: socket.socket, service: Service) -> None:
    """Resets amid the handshake."""
    connection.recv(1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hanging(connection: socket.socket, service: Service) -> None:
    """Says nothing amid the handshake."""
    service.over.wait(5)


@pytest.mark.parametrize("behave", [closing, resetting, hanging])
def test_a_handshake_that_is_cut_off_is_a_service_that_is_away(behave: Behaviour) -> None:
    """A restart amid the handshake is no refusal; nothing was sent."""
    with (
        serving(behave) as service,
        calling(service.url.replace("http:", "https:")) as transport,
        raises_within(2, ServiceUnavailable, "TLS with .* was cut off"),
    ):
        post(transport, seconds=0.5)
