"""What people and their programs ask: insert, show, list, count, cancel, retry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.errors import ContextNotFound, IllegalTransition
from agent.models import OPEN, TRANSITIONS, Change, Document, Status
from agent.store import changes
from agent.store.base import Store
from agent.store.changes import Write
from agent.store.connection import translated
from agent.store.marks import left_by
from agent.store.retention import DECISIVE
from agent.store.selection import Selection

LONGEST_LIST = 1000
TRIES = 5
UNDATED = 10
"""Pending contexts without a date that may come before the oldest one."""
PLACES = {
    "_id": {"service": "$service_type", "status": "$status"}, "count": {"$sum": 1},
}  # fmt: skip

WITHOUT_PAYLOAD = {
    "template.service_template": 0, "request.data": 0, "results": 0, "attempts": 0,
}  # fmt: skip
"""Of a list, what stands in no line."""
RETRIED = {
    "fence": 1, "generation": 1, "updated_at": 1, "deadline_at": 1, "attempt": 1, "failures": 1,
    "snoozes": 1, "crashes": 1, "attempts.number": 1, "attempts.outcome": 1,
    "attempts.definite": 1, "attempts.error.status_code": 1, "parent_id": 1, "after": 1,
    "callbacks.ends": 1, **DECISIVE,
}  # fmt: skip
"""What a retry or a cancellation is decided by; none of what a context carries."""


class Operations(Store):
    """Contexts as their owners and operators see them."""

    def insert_contexts(self, documents: list[Document]) -> None:
        """Insert them all, acknowledged by a majority and on its disks.

        Raises:
            NotStorable: MongoDB refuses one of them.
            StoreUnavailable: MongoDB did not answer. Which were stored is open.
        """
        with translated():
            self.contexts.insert_many(documents)

    def find_context(self, context_id: Any) -> Document:
        """The whole document; what cannot be decoded of it stands in as far as it can.

        Raises:
            ContextNotFound: there is none.
        """
        found = self._find_one({"_id": context_id}, in_part=True)
        if found is None:
            raise ContextNotFound(f"no context {context_id!r}")
        return found

    def find_status(self, context_id: Any) -> Status | None:
        """Its status alone; None when another program wrote one that there is not.

        Raises:
            ContextNotFound: there is none.
        """
        found = self._find_one({"_id": context_id}, {"status": 1})
        if found is None:
            raise ContextNotFound(f"no context {context_id!r}")
        return _known(found.get("status"))

    def list_contexts(
        self,
        *,
        service_type: str | None = None,
        status: Status | None = None,
        kind: str | None = None,
        error_type: str | None = None,
        tag: str | tuple[str, str] | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[Document]:
        """Contexts without their payload, the newest first.

        Args:
            kind: the fingerprint of their error; only what failed has one.
            tag: a name and its value; or one word of a list of tags.
            since: when they were made.

        Raises:
            RequestInvalid: a value cannot be compared; the message says which.
        """
        if kind is not None and status is None:
            status = Status.FAILED
        filter = Selection(
            service_type=service_type, status=status, kind=kind, error_type=error_type, tag=tag,
            since=since,
        ).filter(since_field="created_at")  # fmt: skip
        return self._find(
            filter, WITHOUT_PAYLOAD, sort=[("created_at", -1)], limit=min(limit, LONGEST_LIST)
        )

    def count_by_status(self) -> dict[str, dict[str, int]]:
        """How many contexts each service type has in each status. Reads a whole index."""
        return _by_place(self._aggregate([{"$group": PLACES}], hint="by_service"))

    def estimated_count(self) -> int:
        """About how many contexts there are, by what the server keeps of the collection."""
        with translated():
            return self.contexts.estimated_document_count()

    def count_open(self, up_to: int) -> tuple[dict[str, dict[str, int]], bool]:
        """How many contexts of each service type are not final, by status; and whether that is all.

        Args:
            up_to: so many are counted together, the rest is left out.
        """
        rows = self._aggregate(
            [
                {"$match": {"status": {"$in": [str(status) for status in OPEN]}}},
                {"$limit": up_to + 1},
                {"$group": PLACES},
            ],
            hint="by_service",
        )
        counts = _by_place(rows)
        return counts, sum(sum(each.values()) for each in counts.values()) <= up_to

    def oldest_pending(self) -> dict[str, datetime]:
        """Since when the oldest pending context of each service type may run."""
        now, oldest = self.now(), dict[str, datetime]()
        for service_type in self.settings.registry:
            # what is no date comes first; the duties see to it that it is not there for long
            found = self._find(
                {"service_type": service_type, "status": str(Status.PENDING)},
                {"available_at": 1},
                sort=[("available_at", 1)],
                limit=UNDATED,
            )
            dates = [at for each in found if isinstance(at := each.get("available_at"), datetime)]
            if dates and dates[0] <= now:
                oldest[service_type] = dates[0]
        return oldest

    def cancel(self, context_id: Any) -> Document:
        """Cancel a context that is not final; the result of a running call is then dropped.

        Raises:
            ContextNotFound: there is none.
            IllegalTransition: it is final.
        """
        now = self.now()
        fields = {**DECISIVE, "callbacks.ends": 1}
        found = self._find_one({"_id": context_id}, fields, in_part=True) or {}
        write = left_by(found, changes.cancel(now, context_id), now)
        if not self._write(self.retention.kept(found, write, now)):
            status = self.find_context(context_id).get("status")
            raise IllegalTransition(
                f"{context_id!r} is {status}: only what is not final is cancelled"
            )
        return self.find_context(context_id)

    def run_now(self, context_id: Any) -> Document:
        """Make a scheduled context pending at once.

        Raises:
            ContextNotFound: there is none.
            IllegalTransition: it is not scheduled.
        """
        if not self._write(changes.run_now(self.now(), context_id)):
            status = self.find_context(context_id).get("status")
            raise IllegalTransition(f"{context_id!r} is {status}, not scheduled")
        return self.find_context(context_id)

    def retry(self, context_id: Any, *, fresh_key: bool | None = None) -> Document:
        """Begin a failed or cancelled context anew, its history kept.

        Args:
            fresh_key: whether the Base service sees a new idempotency key. None decides by the last
                outcome: a new one after a definite reply, the old one after anything that may have
                had its effect.

        Raises:
            ContextNotFound: there is none.
            IllegalTransition: it is neither failed nor cancelled.
        """
        for _ in range(TRIES):
            document = self.find_context(context_id)
            if _known(document.get("status")) not in TRANSITIONS[Change.RETRY].sources:
                raise IllegalTransition(
                    f"{context_id!r} is {document.get('status')}: only what failed or was "
                    "cancelled is tried again"
                )
            if self._write(retry_of(self.now(), document, fresh_key)):
                return self.find_context(context_id)
        raise IllegalTransition(f"{context_id!r} changes all the time; try again")


def _by_place(rows: list[Document]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        key: Mapping[str, Any] = row["_id"]
        of_service = counts.setdefault(str(key.get("service", "?")), {})
        of_service[str(key.get("status"))] = row["count"]
    return counts


def _known(status: Any) -> Status | None:
    """The status, if it is one: another program may have written anything there."""
    known = isinstance(status, str) and status in frozenset(map(str, Status))
    return Status(status) if known else None


def retry_of(
    now: datetime,
    document: Document,
    fresh_key: bool | None,
    *,
    opens_parent: bool = True,
    available_at: datetime | None = None,
) -> Write:
    """The retry of a final context, of which the fields of `RETRIED` are enough; without a choice
    of the key the last outcome decides."""
    fresh = was_definite(document) if fresh_key is None else fresh_key
    return changes.retry(
        now, document, fresh_key=fresh, opens_parent=opens_parent, available_at=available_at
    )


def was_definite(document: Document) -> bool:
    """Whether nothing that was sent under the context's idempotency key may still have its effect.

    Either the service has answered for the work itself, or no attempt so far can have reached it. A
    refused connection after a call without a reply tells nothing about that call.
    """
    attempts = document.get("attempts")
    if not isinstance(attempts, list) or not all(isinstance(each, dict) for each in attempts):
        return False  # another program's, or none at all
    if not attempts or attempts[-1].get("number") != document.get("attempt"):
        return False  # never called, or cancelled while its call ran
    last = attempts[-1]
    error = last.get("error")
    answered = isinstance(error, dict) and error.get("status_code") is not None
    if last.get("outcome") == "completed" or (last.get("outcome") == "failed" and answered):
        return bool(last.get("definite", False))
    harmless = all(
        each.get("definite", False) and each.get("outcome") != "accepted" for each in attempts
    )
    return harmless and len(attempts) == document.get("attempt")
