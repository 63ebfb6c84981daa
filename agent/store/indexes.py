"""The indexes, and the queries that each of them serves.

A test holds the two together: every query that runs often names its index, whose fields come in
the order equality, sort, range.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database

from agent.models import Document
from agent.store.connection import translated


class Index(NamedTuple):
    """One index of a collection."""

    name: str
    collection: str
    keys: tuple[str, ...]
    partial: Document | None = None
    expire_after_seconds: int | None = None

    def model(self) -> IndexModel:
        options: dict[str, Any] = {"name": self.name}
        if self.partial is not None:
            options["partialFilterExpression"] = self.partial
        if self.expire_after_seconds is not None:
            options["expireAfterSeconds"] = self.expire_after_seconds
        return IndexModel([(key, ASCENDING) for key in self.keys], **options)


class Query(NamedTuple):
    """A query that runs often: the fields it compares, sorts by and ranges over, and its index.

    One that does none of it reads the whole index, which it names by a hint.
    """

    name: str
    served_by: str
    equality: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    range: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    """What it also compares or sorts by, which the server looks up in each document."""


PENDING = {"status": "pending"}

# None on `lease.expires_at`: each start, heartbeat and end would write it, while rescue looks
# through what is in flight, which is bounded, once in five seconds.
INDEXES = (
    Index("claim", "contexts", ("service_type", "priority", "available_at"), PENDING),
    Index("claim_by_age", "contexts", ("service_type", "available_at"), PENDING),
    Index("adopt", "contexts", ("status", "fence"), PENDING),
    Index("by_service", "contexts", ("service_type", "status")),
    Index("due", "contexts", ("status", "available_at")),
    Index("accepted", "contexts", ("service_type", "status", "available_at"),
          {"remote.accepted_at": {"$exists": True}}),
    Index("deadlines", "contexts", ("status", "deadline_at"), {"deadline_at": {"$type": "date"}}),
    Index("newest", "contexts", ("created_at",)),
    Index("retention", "contexts", ("expire_at",), {"expire_at": {"$exists": True}},
          expire_after_seconds=0),
    Index("template_versions", "templates", ("id", "version")),
)  # fmt: skip

QUERIES = (
    Query("claim candidates", "claim", ("service_type",), ("priority", "available_at")),
    Query("claim candidates by age", "claim_by_age", ("service_type",), ("available_at",)),
    Query("polls behind calls", "accepted", ("service_type", "status"), ("available_at",)),
    Query("in flight", "due", ("status",)),
    Query("accepted work", "accepted"),
    Query("counts by status", "by_service"),
    Query("oldest pending", "claim_by_age", ("service_type",), ("available_at",),
          ("available_at",)),
    Query("look", "due", (), ("status", "available_at")),
    Query("next due", "due", ("status",), ("available_at",)),
    Query("promote", "due", ("status",), (), ("available_at",)),
    Query("rescue", "due", ("status",), beside=("lease.expires_at",)),
    Query("sweep", "deadlines", ("status",), (), ("deadline_at",)),
    Query("adopt", "adopt", ("status", "fence")),
    Query("adopt thoroughly", "adopt", ("status",), (), ("fence",)),
    Query("list", "newest", (), ("created_at",)),
    Query("list by status", "newest", (), ("created_at",), beside=("status",)),
    Query("list by service", "newest", (), ("created_at",), beside=("service_type",)),
    Query("list by both", "newest", (), ("created_at",), beside=("service_type", "status")),
    Query("newest template", "template_versions", ("id",), beside=("stored_at",)),
    Query("template version", "template_versions", ("id", "version"), beside=("stored_at",)),
    Query("store template", "template_versions", ("id", "version")),
)  # fmt: skip


def create_indexes(database: Database[Document]) -> list[str]:
    """Create every index that is missing; the names of all.

    Raises:
        StoreUnavailable: MongoDB did not answer.
    """
    names: list[str] = []
    with translated():
        for collection in dict.fromkeys(index.collection for index in INDEXES):
            models = [index.model() for index in INDEXES if index.collection == collection]
            names += database[collection].create_indexes(models)
    return names
