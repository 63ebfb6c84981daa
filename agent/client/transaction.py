"""A submission that joins the caller's own transaction: when it may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import MongoClient
from pymongo.client_session import ClientSession

from agent.client.errors import RequestRefused
from agent.models import Document


def check_joinable(
    body: Mapping[str, Any], session: ClientSession, client: MongoClient[Document]
) -> None:
    """Refuse what a transaction cannot keep together.

    Raises:
        RequestRefused: the message says what to do instead.
    """
    keys = [f"`{name}`" for name in ("idempotency_key", "unique_key") if name in body]
    if keys:
        raise RequestRefused(
            f"{' and '.join(keys)} cannot be given with `session`: a key is seen by all at once, "
            "whether the transaction commits or not; have your own documents in it say what is "
            "there already"
        )
    if session.client is not client:
        raise RequestRefused("`session` is of another client; start it with `agent.mongo`")
    if not session.in_transaction:
        raise RequestRefused(
            "`session` is in no transaction; write `with session.start_transaction():` around it"
        )
