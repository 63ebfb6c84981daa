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
    sparse: bool = False
    """Whether it leaves out documents without its first field. The servers of tests find what is in
    such an index where they scan for what is in a partial one."""

    def model(self) -> IndexModel:
        options: dict[str, Any] = {"name": self.name}
        if self.partial is not None:
            options["partialFilterExpression"] = self.partial
        if self.expire_after_seconds is not None:
            options["expireAfterSeconds"] = self.expire_after_seconds
        if self.sparse:
            options["sparse"] = True
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
    perhaps: tuple[str, ...] = ()
    """What it compares likewise where somebody asks for it; `tags` stands for each of them."""


PENDING = {"status": "pending"}
FAILED = {"status": "failed"}
SELECTED = ("kind", "error.type", "tags", "template.id", "request.user_id")
"""What operators select by beside what an index finds."""

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
    Index("by_age", "contexts", ("created_at", "_id")),
    # with the date, so that of a million children those that have it already are not read again
    Index("family", "contexts", ("parent_id", "status", "expire_at"),
          {"parent_id": {"$exists": True}}),
    Index("expanding", "contexts", ("expanding.at",), sparse=True),
    Index("rows_kept_until", "uploads", ("expire_at",), expire_after_seconds=0),
    Index("unsettled", "contexts", ("unsettled.at",), sparse=True),
    Index("callbacks", "contexts", ("callbacks.at",), sparse=True),
    # with the _id, so that kinds are counted without reading what failed
    Index("dead", "contexts", ("service_type", "error.fingerprint", "completed_at", "_id"), FAILED),
    # what is to be tried again: only what is scheduled has a reason
    Index("again", "contexts", ("wait_reason", "available_at"), {"wait_reason": {"$gt": ""}}),
    Index("failed", "contexts", ("completed_at",), FAILED),
    Index("retention", "contexts", ("expire_at",), {"expire_at": {"$exists": True}},
          expire_after_seconds=0),
    Index("template_versions", "templates", ("id", "version")),
    Index("kept_until", "idempotency_keys", ("expire_at",), expire_after_seconds=0),
    Index("held_until", "unique_keys", ("expire_at",), expire_after_seconds=0),
    Index("upcoming", "schedules", ("paused", "next_at")),
    Index("parents_by_age", "contexts", ("service_type", "created_at", "_id"), {"kind": "parent"}),
    Index("audit_by_age", "audit", ("at", "_id")),
    Index("audit_by_who", "audit", ("who", "at", "_id")),
)  # fmt: skip

QUERIES = (
    Query("claim candidates", "claim", ("service_type",), ("priority", "available_at")),
    Query("claim candidates by age", "claim_by_age", ("service_type",), ("available_at",)),
    Query("polls behind calls", "accepted", ("service_type", "status"), ("available_at",)),
    Query("in flight", "due", ("status",), (), ("available_at",)),
    Query("in hand", "due", ("status",), (), ("available_at",), beside=("lease.owner",)),
    Query("queued", "due", ("status",)),
    Query("accepted work", "accepted"),
    Query("counts by status", "by_service"),
    Query("counts of what is open", "by_service", beside=("status",)),
    Query("look", "due", (), ("status", "available_at")),
    Query("next due", "due", ("status",), ("available_at",)),
    Query("promote", "due", ("status",), (), ("available_at",)),
    Query("adopt undated", "due", ("status",), (), ("available_at",)),
    Query("adopt unnamed", "adopt", ("status",), beside=("service_type",)),
    Query("rescue", "due", ("status",), beside=("lease.expires_at",), perhaps=("kind",)),
    Query("rescue odd leases", "due", ("status",), beside=("lease",), perhaps=("kind",)),
    Query("settle", "unsettled", (), ("unsettled.at",), ("unsettled.at",)),
    Query("expanding batches", "expanding", (), ("expanding.at",), ("expanding.at",)),
    Query("untold ends", "callbacks", (), ("callbacks.at",), ("callbacks.at",),
          beside=("callbacks.ends",)),
    Query("children", "family", ("parent_id",)),
    Query("children of a status", "family", ("parent_id", "status"),
          perhaps=("round", "expire_at", "cancelling")),
    Query("steps of some requests", "family", ("parent_id",), beside=("expire_at",)),
    Query("sweep", "deadlines", ("status",), (), ("deadline_at",)),
    Query("adopt", "adopt", ("status", "fence")),
    Query("adopt thoroughly", "adopt", ("status",), (), ("fence",)),
    Query("list", "by_age", (), ("created_at",)),
    Query("list some", "by_age", (), ("created_at",),
          perhaps=("service_type", "status", "error.fingerprint", *SELECTED)),
    Query("page", "by_age", (), ("created_at", "_id"),
          perhaps=("service_type", "status", "error.fingerprint", *SELECTED)),
    Query("page further", "by_age", (), ("created_at", "_id"), ("created_at",),
          perhaps=("service_type", "status", "error.fingerprint", *SELECTED)),
    Query("page of one moment", "by_age", ("created_at",), ("_id",), ("_id",),
          perhaps=("service_type", "status", "error.fingerprint", *SELECTED)),
    Query("dead letters", "dead", (), ("service_type", "error.fingerprint", "completed_at")),
    Query("dead letters of a service", "dead", ("service_type",),
          ("error.fingerprint", "completed_at")),
    Query("dead letters of no service", "dead", ("service_type",)),
    Query("services of dead letters", "dead", (), ("service_type",), ("service_type",)),
    Query("kinds of a service", "dead", ("service_type",), ("error.fingerprint",),
          ("error.fingerprint",)),
    Query("first and last of a kind", "dead", ("service_type", "error.fingerprint"),
          ("completed_at",)),
    Query("all of a kind", "dead", ("service_type", "error.fingerprint"),
          perhaps=("completed_at", *SELECTED)),
    Query("all of a kind of any service", "dead", beside=("error.fingerprint",),
          perhaps=("completed_at", *SELECTED)),
    Query("all without a kind", "dead", ("service_type",), (), ("error.fingerprint",),
          perhaps=("completed_at", *SELECTED)),
    Query("all of a service", "by_service", ("service_type", "status"),
          perhaps=("completed_at", "created_at", *SELECTED)),
    Query("all that failed lately", "failed", (), (), ("completed_at",),
          perhaps=("service_type", *SELECTED)),
    Query("all in a status", "due", ("status",),
          perhaps=("completed_at", "created_at", *SELECTED)),
    Query("to be tried again", "again", ("wait_reason",), ("available_at",), beside=("status",)),
    Query("count what is to be tried again", "again", ("wait_reason",)),
    Query("newest failures", "failed", (), ("completed_at",), beside=("kind",)),
    Query("count failures", "failed"),
    Query("versions of a template", "template_versions", ("id",)),
    Query("list templates", "template_versions", (), ("id", "version")),
    Query("upcoming schedules", "upcoming", ("paused",), ("next_at",), ("next_at",)),
    Query("store template", "template_versions", ("id", "version")),
    Query("parents", "parents_by_age", ("service_type",), ("created_at", "_id"),
          perhaps=("status",)),
    Query("parents further", "parents_by_age", ("service_type",), ("created_at", "_id"),
          ("created_at",), perhaps=("status",)),
    Query("parents of one moment", "parents_by_age", ("service_type", "created_at"), ("_id",),
          ("_id",), perhaps=("status",)),
    Query("audit", "audit_by_age", (), ("at", "_id")),
    Query("audit further", "audit_by_age", (), ("at", "_id"), ("at",)),
    Query("audit of one moment", "audit_by_age", ("at",), ("_id",), ("_id",)),
    Query("audit of somebody", "audit_by_who", ("who",), ("at", "_id")),
    Query("audit of somebody further", "audit_by_who", ("who",), ("at", "_id"), ("at",)),
    Query("audit of somebody of one moment", "audit_by_who", ("who", "at"), ("_id",), ("_id",)),
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
