"""How long what is final is kept, and the write that says so. Pure.

Whatever makes a context final is passed through `Retention.kept`, which gives the write the
`expire_at` at which MongoDB deletes it. What is part of a request or a batch has none of its own:
it goes with the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.durations import LONGEST, NEVER, Kept, read_kept
from agent.models import FINAL, Document, Status
from agent.store.marks import is_child

if TYPE_CHECKING:
    from agent.settings import ServiceSettings, Settings
    from agent.store.changes import Write

ADOPTED = "foreign"
"""The `source` of what another program inserted."""
DECISIVE: Document = {
    "service_type": 1, "source": 1, "fence": 1, "parent_id": 1, "retention_seconds": 1,
}  # fmt: skip
"""What of a context says how long it is kept."""

Terms = Mapping[Status, Kept]


def retention_fields(retention: Kept | None) -> Document:
    """What stands in a context, or in a parent, that is kept for another time than most."""
    if retention is None:
        return {}
    seconds = None if retention == NEVER else int(retention.total_seconds())
    return {"retention_seconds": seconds}


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is final is kept.

    Args:
        shared: by its status.
        by_service: the same for some services.
        keeps_adopted: leave alone what other programs inserted.
    """

    shared: Terms
    by_service: Mapping[str, Terms]
    keeps_adopted: bool = True

    @classmethod
    def of(cls, settings: Settings) -> Retention:
        """By the settings.

        Raises:
            ConfigurationError: one of them is wrong.
        """
        shared = _terms(settings, {})
        services = {name: settings.service(each) for name, each in settings.registry.items()}
        by_service = {name: _terms(each, shared) for name, each in services.items()}
        return cls(shared, by_service, not settings.retention_adopted)

    def of_end(self, document: Mapping[str, Any], status: Status) -> timedelta | None:
        """How long a document is kept that ends like this; None for as long as its parent is
        there, or for ever."""
        is_foreign = document.get("source") == ADOPTED or "fence" not in document
        if is_child(document) or (is_foreign and self.keeps_adopted):
            return None
        if "retention_seconds" in document:
            asked = document["retention_seconds"]
            if asked is None:
                return None
            is_number = isinstance(asked, int | float) and not isinstance(asked, bool)
            if is_number and 0 <= asked <= LONGEST.total_seconds():
                return timedelta(seconds=asked)
        service = document.get("service_type")
        terms = self.by_service.get(service) if isinstance(service, str) else None
        kept = (terms or self.shared)[status]
        return None if kept == NEVER else kept

    def kept(self, document: Mapping[str, Any], write: Write, now: datetime) -> Write:
        """The same write, with the time until which the document is kept if it ends with it.

        Args:
            document: as far as `DECISIVE` says.
        """
        status = write.update.get("$set", {}).get("status")
        keep = self.of_end(document, Status(status)) if status in FINAL else None
        if keep is None:
            return write
        changed = {**write.update["$set"], "expire_at": now + keep}
        return write._replace(update={**write.update, "$set": changed})


FOR_EVER = Retention(dict.fromkeys(FINAL, NEVER), {})
"""Nothing is ever deleted."""


def _terms(settings: Settings | ServiceSettings, otherwise: Terms) -> Terms:
    said = {
        Status.COMPLETED: settings.retention_completed,
        Status.FAILED: settings.retention_failed,
        Status.CANCELLED: settings.retention_cancelled,
    }
    return {
        status: otherwise[status] if word is None else read_kept(word)
        for status, word in said.items()
    }
