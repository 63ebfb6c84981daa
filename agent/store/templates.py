"""The collection `templates`: every version of every template."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agent.models import Document
from agent.store.base import Store
from agent.store.connection import translated
from agent.versions import Order, version_order, version_text

BY_ID = [("id", 1), ("version", 1)]
BRIEF = (
    *("id", "version", "service_type", "description", "stored_at"),
    *("steps.key", "steps.service_type", "steps.after"),
)
"""What a list of templates shows of each."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Templates(Store):
    """Stored templates."""

    def find_template(self, template_id: str, version: str | None = None) -> Document | None:
        """The template of this id and version, the highest version when None is asked for.

        Of two that are alike the one stored last. Other programs store theirs by `id`, or by
        `_id` alone; their versions may be numbers, or missing (1.0).
        """
        templates = self.database["templates"]
        with translated():
            there = list(templates.find({"id": template_id}, {"version": 1, "stored_at": 1}))
            if not there:
                there = list(templates.find({"_id": template_id}, {"version": 1, "stored_at": 1}))
            wanted = [
                each for each in there if version in (None, version_text(each.get("version")))
            ]
            if not wanted:
                return None
            found = templates.find_one({"_id": max(wanted, key=_rank)["_id"]})
        return None if found is None else {"id": template_id, **found}

    def list_templates(self, limit: int) -> list[Document]:
        """The stored templates by id, without their bodies: so many at most."""
        with translated():
            return list(self.database["templates"].find({}, list(BRIEF), sort=BY_ID, limit=limit))

    def store_template(self, template: Document) -> None:
        """Store one version of a template, in place of the same version.

        Raises:
            NotStorable: MongoDB cannot hold it.
            StoreUnavailable: MongoDB did not answer.
        """
        key = {"id": template["id"], "version": template["version"]}
        with translated():
            self.database["templates"].replace_one(
                key, {**template, "stored_at": self.now()}, upsert=True
            )


def _rank(template: Document) -> tuple[Order, datetime]:
    stored_at: Any = template.get("stored_at")
    if not isinstance(stored_at, datetime):
        stored_at = LONG_AGO
    return version_order(version_text(template.get("version"))), stored_at
