"""The way to the agent by HTTP, for threads. `async_http` is its twin for event loops."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx

from agent.client.address import Address
from agent.client.calls import (
    Call,
    Change,
    HttpRequest,
    Kind,
    Show,
    Upload,
    in_http,
    items_in_http,
    key_of,
    path_of,
)
from agent.client.errors import Conflict, Unavailable
from agent.client.events import Event, EventStream
from agent.client.exchange import (
    LISTENING,
    PASSING,
    UPLOADING,
    after_error,
    after_reply,
    options_of,
    read_answer,
    timeout_of,
)
from agent.client.problems import check_changed, error_of_reply
from agent.client.rows import Blocks, ItemLines, lines_of
from agent.client.tries import Tries
from agent.client.uploads import upload_in_http


class Http:
    """Calls of one `web`, each tried again until it is answered or patience is at its end.

    Args:
        timeout: seconds that one try may take.
        patience: seconds that all tries of a call may take.
    """

    def __init__(self, address: Address, *, timeout: float, patience: float) -> None:
        self.where = address.shown
        self.patience = patience
        self._timeout = timeout
        self._client = httpx.Client(**options_of(address))

    def do(self, call: Call, *, patience: float | None = None) -> dict[str, Any]:
        """What the agent answers to a call.

        Raises:
            AgentClientError: it refuses, or does not answer.
        """
        tries = Tries(self.where, self._patience_of(patience))
        try:
            return read_answer(self._send(in_http(call), tries), self.where)
        except Unavailable as exc:
            exc.idempotency_key = key_of(call)
            raise
        except Conflict as exc:
            if not (isinstance(call, Change) and tries.maybe_done):
                raise
            return check_changed(call, self.do(Show(call.kind, call.id)), exc)

    def _patience_of(self, patience: float | None) -> float:
        return self.patience if patience is None else min(patience, self.patience)

    def _send(self, asked: HttpRequest, tries: Tries) -> httpx.Response:
        while True:
            try:
                reply = self._client.request(
                    asked.method, asked.path, params=dict(asked.params), content=asked.content,
                    headers=dict(asked.headers), timeout=timeout_of(asked, self._timeout, tries),
                )  # fmt: skip
            except PASSING as exc:
                pause: float | None = after_error(tries, exc)
            else:
                pause = after_reply(tries, reply)
                if pause is None:
                    return reply
            time.sleep(pause or 0)

    def upload(self, upload: Upload) -> dict[str, Any]:
        """What the agent answers to the items of a batch, which are sent as they come.

        Raises:
            AgentClientError: it refuses, or does not answer.
        """
        tries = Tries(self.where, self.patience)
        asked, frame = upload_in_http(upload)
        with Blocks(lines_of(upload.items, frame)) as blocks:
            try:
                return read_answer(self._upload(asked, blocks, tries), self.where)
            except Unavailable as exc:
                exc.idempotency_key = key_of(upload)
                raise

    def _upload(self, asked: HttpRequest, blocks: Blocks, tries: Tries) -> httpx.Response:
        while True:
            began = time.monotonic()
            try:
                reply = self._client.post(
                    asked.path, params=dict(asked.params), headers=dict(asked.headers),
                    content=iter(blocks), timeout=UPLOADING,
                )  # fmt: skip
            except PASSING as exc:
                if blocks.error is not None:
                    raise
                tries.extend(time.monotonic() - began)
                pause: float | None = after_error(tries, exc)
            else:
                pause = after_reply(tries, reply)
                if pause is None:
                    return reply
            time.sleep(pause or 0)

    def items(self, id: str) -> Iterator[dict[str, Any]]:
        """The items of a batch; a download that breaks off is begun again behind the last one.

        Raises:
            AgentClientError: the agent refuses, or does not answer any more.
        """
        lines = ItemLines()
        tries = Tries(self.where, self.patience)
        asked = items_in_http(id)
        while True:
            lines.begin()
            try:
                with self._client.stream(
                    asked.method, asked.path, params=dict(asked.params), timeout=LISTENING
                ) as reply:
                    if reply.status_code == 200:
                        for data in reply.iter_bytes():
                            for each in lines.take(data):
                                tries.renew()
                                yield each
                        yield from lines.end()
                        return
                    reply.read()
                    pause = after_reply(tries, reply)
                    if pause is None:
                        raise error_of_reply(reply.status_code, reply.content, self.where)
            except PASSING as exc:
                pause = after_error(tries, exc)
            time.sleep(pause)

    def events(self, kind: Kind, id: str) -> Iterator[Event]:
        """What becomes of one, until it is final; a connection that breaks is made again.

        Raises:
            AgentClientError: the agent refuses, or does not answer any more.
        """
        stream = EventStream(id)
        tries = Tries(self.where, self.patience)
        path = path_of(kind, id, "events")
        while not stream.is_over:
            stream.begin()
            pause: float | None = stream.pause
            try:
                with self._client.stream(
                    "GET", path, headers=stream.headers, timeout=LISTENING
                ) as reply:
                    if reply.status_code == 204:
                        return
                    if reply.status_code == 200:
                        for data in reply.iter_bytes():
                            tries.renew()
                            yield from stream.take(data)
                            if stream.is_over:
                                return
                    else:
                        reply.read()
                        pause = after_reply(tries, reply)
                        if pause is None:
                            raise error_of_reply(reply.status_code, reply.content, self.where)
            except PASSING as exc:
                pause = after_error(tries, exc)
            time.sleep(pause or 0)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
