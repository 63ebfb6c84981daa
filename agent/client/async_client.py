"""`AsyncAgentClient`: `AgentClient` for event loops."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from agent.client.address import Address, address_from, read_address
from agent.client.async_handles import (
    AsyncBatchHandle,
    AsyncRequestHandle,
    batch_handle,
    request_handle,
)
from agent.client.calls import batch, submission
from agent.client.client import PATIENCE_SECONDS, TIMEOUT_SECONDS, check_no_database, way_to
from agent.client.fields import RequestFields
from agent.client.tries import seconds_of
from agent.client.way import AsyncWay


class AsyncAgentClient:
    """Asks the agent for work, on an event loop: the methods of `AgentClient`, to be awaited.

    Straight to MongoDB each call takes a thread of the loop's own; there is no `session`, as a
    transaction there belongs to one thread.

    Args:
        url: `http://…` or `https://…` of a `web`; or `mongodb://…`.
        api_key: the secret of a key of `AGENT_API_KEYS`, for HTTP.
        database: of MongoDB; without it `MONGODB_DATABASE`, then the URI's own, then `agent`.
        patience: how long one call is tried again, in all.
        timeout: how long one try may take, by HTTP.

    Raises:
        NotConfigured: the address or the key cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        database: str | None = None,
        patience: float | timedelta = PATIENCE_SECONDS,
        timeout: float | timedelta = TIMEOUT_SECONDS,
    ) -> None:
        self._way = _async_way_to(
            read_address(url, api_key), database, seconds_of(patience), seconds_of(timeout)
        )

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """A client for `AGENT_URL` with `AGENT_API_KEY`; else for `MONGODB_URI`.

        Raises:
            NotConfigured: neither is set, or cannot be used.
        """
        address = address_from()
        return cls(address.url, api_key=address.api_key, **options)

    async def submit(self, **fields: Unpack[RequestFields]) -> AsyncRequestHandle:
        """Ask for something. When it returns, the request is stored.

        Raises:
            RequestRefused: it cannot be understood, or cannot become work.
            Unavailable: there was no answer; whether it was stored is open.
            AgentClientError: as for every call.
        """
        return request_handle(self._way, await self._way.do(submission(fields)))

    async def map(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        mode: Literal["each", "whole"] = "each",
        **fields: Unpack[RequestFields],
    ) -> AsyncBatchHandle:
        """Ask for the same over many items. When it returns, the batch is stored.

        Args:
            items: the `data` of each; they are sent as they come.
            mode: `each` makes a request of each item; `whole` one of all, with `data.items`.

        Raises:
            RequestRefused: nothing can become of it.
            Unavailable: there was no answer; whether it was stored is open.
            AgentClientError: as for every call.
        """
        return batch_handle(self._way, await self._way.upload(batch(items, mode, fields)))

    def handle(self, id: str) -> AsyncRequestHandle:
        """A request that is there already. Nothing is asked yet."""
        return AsyncRequestHandle(self._way, id)

    def batch(self, id: str) -> AsyncBatchHandle:
        """A batch that is there already. Nothing is asked yet."""
        return AsyncBatchHandle(self._way, id)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._way.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncAgentClient {self._way.where}>"


def _async_way_to(
    address: Address, database: str | None, patience: float, timeout: float
) -> AsyncWay:
    if address.is_mongodb:
        from agent.client.threaded import Threaded

        return Threaded(way_to(address, database, patience, timeout)[0])
    check_no_database(database)
    from agent.client.async_http import AsyncHttp

    return AsyncHttp(address, timeout=timeout, patience=patience)
