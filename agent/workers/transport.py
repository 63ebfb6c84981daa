"""HTTP to one Base service: the only module that knows httpx and httpcore.

Each thread has one connection of its own: 500 threads that share a client spend their time in its
pool. The whole call has one deadline, every read and write getting what is left of it; and of each
call that fails we know whether anything of its request was written.
"""

from __future__ import annotations

import os
import re
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import httpcore
import httpx
from pydantic import SecretStr

from agent.errors import (
    CallError,
    OutcomeUnknown,
    ReplyTooLarge,
    RequestNotSendable,
    ServiceUnavailable,
    TlsFailed,
)
from agent.replies import Reply
from agent.workers.decoding import decode

KEEP_ALIVE_SECONDS = 2.0
"""Servers close what is idle, often after 5 s; a connection closed in our face is ambiguous."""
PIECE_BYTES = 64 * 1024

OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect"}
)
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\x20-\x7e\x80-\xff\t]*")

BeforeSend = Callable[[], None]


class Transport:
    """Calls of one Base service, from any number of threads.

    Args:
        base_url: what the paths of calls follow; its origin is the only one that is called.
        api_key: sent as a bearer token.
        timeout: seconds that a whole call may take at most.
        max_response_bytes: a larger reply, once decoded, is not read.
        keep_alive: whether a connection serves more than one call. Not where a stale one would be
            taken for a call whose outcome is unknown.
        ssl_context: made with the usual authorities, or those of `SSL_CERT_FILE`, when not given.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None = None,
        *,
        timeout: float,
        max_response_bytes: int,
        keep_alive: bool = True,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._base = _parse(self._base_url)
        self._api_key = api_key
        self._timeout = timeout
        self._max_bytes = max_response_bytes
        self._keep_alive = keep_alive
        self._ssl_context = ssl_context
        self._local = threading.local()
        self._lines: weakref.WeakSet[_Line] = weakref.WeakSet()
        self._lock = threading.Lock()

    def send(
        self,
        method: str,
        url_or_path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        deadline: float,
        before_send: BeforeSend | None = None,
    ) -> Reply:
        """Send one request and read the whole reply, within one deadline.

        Args:
            url_or_path: a path below the base URL, or a URL of the same origin.
            deadline: when the call must have ended, on the monotonic clock.
            before_send: called right before the first byte is written; what it raises is raised.

        Raises:
            RequestNotSendable: the URL or a header is none; nothing was sent.
            ServiceUnavailable: nothing was sent, as there was no connection.
            TlsFailed: nothing was sent, as the service's certificate or TLS was refused.
            OutcomeUnknown: something was sent, and no whole reply came back.
            ReplyTooLarge: the reply is over the limit; its connection was dropped.
        """
        deadline = min(deadline, time.monotonic() + self._timeout)
        request = self._request(method, url_or_path, headers, body)
        line = self._line()
        line.state.begin(deadline, before_send)
        try:
            return self._exchange(line, request)
        except httpcore.ProtocolError as exc:
            raise line.state.trouble(f"no valid HTTP: {exc}") from exc
        finally:
            line.state.before_send = None
            if not self._keep_alive:
                line.close()

    def close(self) -> None:
        """Close all connections. Calls that still run fail."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.close()

    def _exchange(self, line: _Line, request: httpcore.Request) -> Reply:
        response = line.connection().handle_request(request)
        try:
            if response.status < 200:
                raise OutcomeUnknown(f"unexpected reply {response.status}")
            headers = _read_headers(response.headers)
            length = headers.get("content-length", "")
            if length.isascii() and length.isdigit() and int(length[:20]) > self._max_bytes:
                raise self._too_large()
            raw = self._read(response)
        finally:
            response.close()
        encoding = headers.get("content-encoding", "").strip().lower()
        if raw and encoding not in ("", "identity"):
            raw = self._decode(raw, encoding)
        return Reply(response.status, headers, raw)

    def _read(self, response: httpcore.Response) -> bytes:
        raw = bytearray()
        assert isinstance(response.stream, Iterable)
        for piece in response.stream:
            raw += piece
            if len(raw) > self._max_bytes:
                raise self._too_large()
        return bytes(raw)

    def _decode(self, raw: bytes, encoding: str) -> bytes:
        try:
            body = decode(raw, encoding, self._max_bytes)
        except ValueError as exc:
            raise OutcomeUnknown(str(exc)) from exc
        if body is None:
            raise self._too_large()
        return body

    def _too_large(self) -> ReplyTooLarge:
        return ReplyTooLarge(f"the reply is over {self._max_bytes} bytes")

    def _request(
        self, method: str, url_or_path: str, headers: Mapping[str, str], body: bytes | None
    ) -> httpcore.Request:
        lines = [(b"Host", self._base.netloc), (b"Accept-Encoding", b"identity")]
        if body is not None:
            lines.append((b"Content-Length", b"%d" % len(body)))
        if not self._keep_alive:
            lines.append((b"Connection", b"close"))
        key = self._api_key.get_secret_value().strip() if self._api_key is not None else ""
        if key and not any(name.lower() == "authorization" for name in headers):
            lines.append(_header("Authorization", f"Bearer {key}"))
        lines += [_header(name, value) for name, value in headers.items()]
        url = httpcore.URL(
            scheme=self._base.raw_scheme,
            host=self._base.raw_host,
            port=self._base.port,
            target=self._target(url_or_path),
        )
        return httpcore.Request(method, url, headers=lines, content=body)

    def _target(self, url_or_path: str) -> bytes:
        if url_or_path.startswith("/"):
            return _parse(self._base_url + url_or_path).raw_path
        url = _parse(url_or_path)
        ours = (self._base.scheme, self._base.raw_host, self._base.port)
        if (url.scheme, url.raw_host, url.port) != ours or url.userinfo:
            raise RequestNotSendable("the URL is not on the origin of the service")
        return url.raw_path

    def _line(self) -> _Line:
        """This thread's connection; one that came through a fork is the parent's."""
        line: _Line | None = getattr(self._local, "line", None)
        if line is None or line.pid != os.getpid():
            line = _Line(self._base, self._context)
            self._local.line = line
            with self._lock:
                self._lines.add(line)
        return line

    def _context(self) -> ssl.SSLContext:
        """The one context of all threads: making one takes tens of milliseconds."""
        if self._ssl_context is not None:
            return self._ssl_context
        with self._lock:
            if self._ssl_context is None:
                self._ssl_context = httpx.create_ssl_context()
                self._ssl_context.set_alpn_protocols(["http/1.1"])
            return self._ssl_context


class _State:
    """What the call that runs on a line may still do, and what it has done."""

    __slots__ = ("before_send", "deadline", "written")

    def __init__(self) -> None:
        self.begin(0.0, None)

    def begin(self, deadline: float, before_send: BeforeSend | None) -> None:
        self.deadline = deadline
        self.before_send = before_send
        self.written = False

    def time_left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self.timed_out()
        return left

    def trouble(self, message: str) -> CallError:
        """The error of a call that stops here, by whether anything was written."""
        return OutcomeUnknown(message) if self.written else ServiceUnavailable(message)

    def timed_out(self) -> CallError:
        what = "no whole reply" if self.written else "no connection"
        return self.trouble(f"{what} within the deadline")


class _Line:
    """One thread's way to the service: at most one connection, opened when it is needed."""

    def __init__(self, base: httpx.URL, context: Callable[[], ssl.SSLContext]) -> None:
        self.pid = os.getpid()
        self.state = _State()
        self._base = base
        self._context = context
        self._connection: httpcore.HTTP11Connection | None = None

    def connection(self) -> httpcore.HTTP11Connection:
        """The connection that is open and quiet, else a new one."""
        found = self._connection
        if found is not None:
            if found.is_available() and not found.has_expired():
                return found
            self.close()
        origin = httpcore.Origin(
            self._base.raw_scheme, self._base.raw_host, self._base.port or self._default_port
        )
        stream = _Stream(self._connect(), self.state)
        self._connection = httpcore.HTTP11Connection(
            origin, stream, keepalive_expiry=KEEP_ALIVE_SECONDS
        )
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    @property
    def _default_port(self) -> int:
        return 443 if self._base.scheme == "https" else 80

    def _connect(self) -> socket.socket:
        host = self._base.raw_host.decode("ascii")
        port = self._base.port or self._default_port
        try:
            plain = _open_socket(host, port, self.state)
        except (OSError, UnicodeError) as exc:
            raise ServiceUnavailable(f"cannot connect to {host}:{port}: {_reason(exc)}") from exc
        if self._base.scheme != "https":
            return plain
        try:
            plain.settimeout(self.state.time_left())
            return self._context().wrap_socket(plain, server_hostname=host)
        except BaseException as exc:
            plain.close()
            if isinstance(exc, OSError):
                raise _tls_error(exc, f"{host}:{port}") from exc
            raise


class _Stream(httpcore.NetworkStream):
    """A socket under one deadline. What is written goes out whole, before the first read."""

    def __init__(self, sock: socket.socket, state: _State) -> None:
        self._sock = sock
        self._state = state
        self._unsent: list[bytes] = []

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Keep it: head and body leave in one piece."""
        if buffer:
            self._unsent.append(buffer)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unsent:
            self._flush()
        try:
            self._sock.settimeout(self._state.time_left())
            return self._sock.recv(max_bytes)
        except TimeoutError as exc:
            raise self._state.timed_out() from exc
        except OSError as exc:
            raise self._state.trouble(f"no whole reply: {_reason(exc)}") from exc

    def _flush(self) -> None:
        """Write the request. A service that stops reading may still have replied: go and see."""
        if self._state.before_send is not None:
            self._state.before_send()
        rest = memoryview(b"".join(self._unsent))
        self._unsent.clear()
        try:
            while rest:
                self._sock.settimeout(self._state.time_left())
                sent = self._sock.send(rest)
                self._state.written = True
                rest = rest[sent:]
        except TimeoutError as exc:
            raise self._state.timed_out() from exc
        except OSError as exc:
            if not self._state.written:
                raise ServiceUnavailable(f"nothing was sent: {_reason(exc)}") from exc

    def close(self) -> None:
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        """Whether an idle connection has something to say: then it is its end."""
        return _is_readable(self._sock) if info == "is_readable" else None


def _open_socket(host: str, port: int, state: _State) -> socket.socket:
    """A connection to the first address that answers; the last one gets all the time left."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
        sock = socket.socket(family, kind, protocol)
        try:
            left = state.time_left()
            sock.settimeout(left if number == len(addresses) else left / 2)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException as exc:
            sock.close()
            if not isinstance(exc, OSError):
                raise
            failure = exc
        else:
            return sock
    raise failure


def _tls_error(exc: OSError, where: str) -> CallError:
    """Refused for good, or only cut off amid the handshake."""
    cut = isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    if isinstance(exc, ssl.SSLError) and not cut and not isinstance(exc, TimeoutError):
        return TlsFailed(f"TLS with {where} failed: {_reason(exc)}")
    return ServiceUnavailable(f"TLS with {where} was cut off: {_reason(exc)}")


def _reason(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"certificate refused: {exc.verify_message}"
    if isinstance(exc, TimeoutError):
        return "timed out"
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


def _is_readable(sock: socket.socket) -> bool:
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


@lru_cache(maxsize=256)
def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as exc:
        raise RequestNotSendable(f"no URL: {exc}") from exc
    if parsed.scheme not in ("http", "https") or not parsed.raw_host:
        raise RequestNotSendable("no http:// or https:// URL")
    return parsed


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    """A header as it is written.

    Raises:
        RequestNotSendable: it would break out of its line; the message names it, not its value.
    """
    try:
        raw_name, raw_value = name.encode("ascii"), value.strip().encode("latin-1")
    except (UnicodeEncodeError, AttributeError) as exc:
        raise RequestNotSendable(f"header {name!r} cannot be encoded") from exc
    if not _NAME.fullmatch(raw_name) or not _VALUE.fullmatch(raw_value):
        raise RequestNotSendable(f"header {name!r} has a character that a header cannot have")
    if name.lower() in OWN_HEADERS:
        raise RequestNotSendable(f"header {name!r} is the transport's own")
    return raw_name, raw_value


def _read_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; the values of a repeated one joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
