"""TLS before a plain service, with certificates of the test's own making."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from agent.embedded.ports import HOST

DAYS = "2"
ANSWER_SECONDS = 10.0
PIECE_BYTES = 65536


class Certificate(NamedTuple):
    """A certificate and its key."""

    path: Path
    key: Path


class Authority:
    """Makes certificates. Whoever has `trusted` for an `SSL_CERT_FILE` trusts those it signed.

    Args:
        folder: where all files are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = self._make("authority", "basicConstraints=critical,CA:TRUE")

    @property
    def trusted(self) -> str:
        return str(self._own.path)

    def signed(self, host: str) -> Certificate:
        """A certificate for a host that this authority vouches for."""
        signer = ("-CA", str(self._own.path), "-CAkey", str(self._own.key))
        return self._make(f"{host}-signed", f"subjectAltName=DNS:{host}", *signer)

    def self_signed(self, host: str) -> Certificate:
        """One that nobody vouches for."""
        return self._make(f"{host}-self-signed", f"subjectAltName=DNS:{host}")

    def _make(self, name: str, extension: str, *signer: str) -> Certificate:
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        command += ["-nodes", "-days", DAYS, "-subj", f"/CN={name}", "-addext", extension, *signer]
        command += ["-out", str(made.path), "-keyout", str(made.key)]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        return made


class TlsFront:
    """Listens with TLS, and passes what it decrypts to a plain service.

    Args:
        port: of the service.
        certificate: what it shows at first.
    """

    def __init__(self, port: int, certificate: Certificate) -> None:
        self.refused = 0
        """Handshakes that came to nothing."""
        self.let_in = 0
        self._behind = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(certificate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tls", daemon=True)
        self._server: asyncio.Server
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def show(self, certificate: Certificate) -> None:
        """Show this one to whoever comes from now on."""
        self._context.load_cert_chain(*certificate)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, HOST, 0))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_SECONDS)
        self._loop.close()

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(ANSWER_SECONDS)

    async def _end(self) -> None:
        self._server.close()
        for each in list(self._open):
            each.transport.abort()
        ours = asyncio.current_task()
        await asyncio.gather(*(asyncio.all_tasks() - {ours}), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._kept(writer):
            try:
                await writer.start_tls(self._context)
            except OSError:
                self.refused += 1
                return
            self.let_in += 1
            behind, to_behind = await asyncio.open_connection(HOST, self._behind)
            with self._kept(to_behind):
                await asyncio.gather(_pass_on(reader, to_behind), _pass_on(behind, writer))

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """So that it can be ended from outside."""
        self._open.add(writer)
        try:
            yield
        finally:
            self._open.discard(writer)
            writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE_BYTES):
            writer.write(data)
            await writer.drain()
        writer.close()
