"""`AgentClient`: ask the agent for work, and see what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from agent.client.address import Address, address_from, read_address
from agent.client.calls import batch, submission
from agent.client.errors import NotConfigured, RequestRefused
from agent.client.fields import RequestFields
from agent.client.handles import BatchHandle, RequestHandle, batch_handle, request_handle
from agent.client.tries import seconds_of
from agent.client.way import Way

if TYPE_CHECKING:
    from datetime import timedelta

    from pymongo import MongoClient
    from pymongo.client_session import ClientSession

    from agent.client.mongo import Mongo

PATIENCE_SECONDS = 60.0
"""Longer than any deploy, and than what a submission that died halfway keeps its key: 30 s."""
TIMEOUT_SECONDS = 40.0


class AgentClient:
    """Asks the agent for work: by HTTP, or straight to MongoDB.

    Threads may share one. What fails in passing (no connection, 429, 503, any 5xx, a submission
    that is being stored just now) is tried again; every submission has an idempotency key, so that
    it makes one request however often it is sent.

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
        address = read_address(url, api_key)
        self._way, self._mongo = way_to(address, database, seconds_of(patience),
                                         seconds_of(timeout))  # fmt: skip

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """A client for `AGENT_URL` with `AGENT_API_KEY`; else for `MONGODB_URI`.

        Raises:
            NotConfigured: neither is set, or cannot be used.
        """
        address = address_from()
        return cls(address.url, api_key=address.api_key, **options)

    def submit(
        self, *, session: ClientSession | None = None, **fields: Unpack[RequestFields]
    ) -> RequestHandle:
        """Ask for something. When it returns, the request is stored.

        Args:
            session: with a transaction of the caller's that the request is part of, by MongoDB
                only: committed, it runs; aborted, it never was.
            fields: of the request, as docs/python-client.md has them.

        Raises:
            RequestRefused: it cannot be understood, or cannot become work.
            Unavailable: there was no answer; whether it was stored is open.
            AgentClientError: as for every call.
        """
        if session is None:
            return request_handle(self._way, self._way.do(submission(fields)))
        if self._mongo is None:
            raise RequestRefused("`session` is for clients that go straight to MongoDB")
        return request_handle(self._way, self._mongo.join(fields, session))

    def map(
        self,
        items: Iterable[Any],
        *,
        mode: Literal["each", "whole"] = "each",
        **fields: Unpack[RequestFields],
    ) -> BatchHandle:
        """Ask for the same over many items. When it returns, the batch is stored.

        Args:
            items: the `data` of each, over the `data` that all have in common. They are sent as
                they come, so a generator may bring a million.
            mode: `each` makes a request of each item; `whole` one of all, with `data.items`.
            fields: of the request, as for `submit`.

        Raises:
            RequestRefused: nothing can become of it. An item that is wrong costs only itself, and
                is told in `rejected`.
            Unavailable: there was no answer; whether it was stored is open.
            AgentClientError: as for every call.
        """
        return batch_handle(self._way, self._way.upload(batch(items, mode, fields)))

    def handle(self, id: str) -> RequestHandle:
        """A request that is there already. Nothing is asked yet."""
        return RequestHandle(self._way, id)

    def batch(self, id: str) -> BatchHandle:
        """A batch that is there already. Nothing is asked yet."""
        return BatchHandle(self._way, id)

    @property
    def mongo(self) -> MongoClient[dict[str, Any]]:
        """The client of MongoDB, to begin transactions with that `submit` joins. Its writes are
        acknowledged by a majority and its disks, whatever the URI says.

        Raises:
            NotConfigured: this one goes by HTTP.
        """
        if self._mongo is None:
            raise NotConfigured("this client goes by HTTP; give it a mongodb:// address")
        return self._mongo.client

    def close(self) -> None:
        """Let go of the connections."""
        self._way.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<AgentClient {self._way.where}>"


def way_to(
    address: Address, database: str | None, patience: float, timeout: float
) -> tuple[Way, Mongo | None]:
    """The way that an address asks for; what it needs is imported only now."""
    if address.is_mongodb:
        from agent.client.mongo import Mongo

        mongo = Mongo(address, database=database, patience=patience)
        return mongo, mongo
    check_no_database(database)
    from agent.client.http import Http

    return Http(address, timeout=timeout, patience=patience), None


def check_no_database(database: str | None) -> None:
    """Refuse a database where there is none to choose.

    Raises:
        NotConfigured: one is given.
    """
    if database is not None:
        raise NotConfigured("`database` is for mongodb:// addresses")
