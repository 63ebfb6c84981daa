"""Somebody who is called back: a small HTTP server that answers as told and keeps what came."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = b"a key of the tests, of 32 bytes."
SECRET = "whsec_" + base64.b64encode(KEY).decode()

Answer = int | tuple[int, Mapping[str, str]]


@dataclass(frozen=True)
class Delivery:
    """One message as it came."""

    path: str
    headers: Mapping[str, str]
    payload: bytes
    answered: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> Any:
        return json.loads(self.payload)

    def is_signed_with(self, key: bytes = KEY) -> bool:
        """As the specification of Standard Webhooks has a receiver find out."""
        signed = b".".join(
            [self.id.encode(), self.headers["webhook-timestamp"].encode(), self.payload]
        )
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        given = [each.split(",", 1) for each in self.headers["webhook-signature"].split(" ")]
        return any(
            version == "v1" and hmac.compare_digest(signature, expected)
            for version, signature in given
        )


class Receiver(ThreadingHTTPServer):
    """Answers what a test says, one after the other; the last answer again and again."""

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = list(answers) or [204]
        self.deliveries: list[Delivery] = []
        self.go_on = threading.Event()
        """Nobody is answered before it is set."""
        self.go_on.set()
        self.calls = 0
        self.lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/hook?for=ann"

    def next_answer(self) -> Answer:
        with self.lock:
            self.calls += 1
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who is called may have been killed amid the call."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers["content-length"]))
        answer = self.server.next_answer()
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        named = {name.lower(): value for name, value in self.headers.items()}
        self.server.deliveries.append(Delivery(self.path, named, payload, status))
        self.server.go_on.wait(30)
        self.send_response(status)
        for name, value in {"content-length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Not of interest."""


@contextmanager
def receiver(*answers: Answer) -> Iterator[Receiver]:
    """A receiver that listens."""
    with Receiver(*answers) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found
        finally:
            found.go_on.set()
            found.shutdown()
            thread.join(10)
