"""The collection `templates`: every version of every template."""

from __future__ import annotations

from agent.models import Document
from agent.store.base import Store
from agent.store.connection import translated

NEWEST = [("stored_at", -1)]


class Templates(Store):
    """Stored templates."""

    def find_template(self, template_id: str, version: str | None = None) -> Document | None:
        """The template of this id and version, the one stored last when None is asked for.

        Other programs store theirs by `id`, or by `_id` alone.
        """
        templates = self.database["templates"]
        wanted: Document = {} if version is None else {"version": version}
        with translated():
            found = templates.find_one({"id": template_id, **wanted}, sort=NEWEST)
            if found is None:
                found = templates.find_one({"_id": template_id, **wanted})
        return None if found is None else {"id": template_id, **found}

    def store_template(self, template: Document) -> None:
        """Store one version of a template, in place of the same version."""
        key = {"id": template["id"], "version": template["version"]}
        with translated():
            self.database["templates"].update_one(
                key, {"$set": {**template, "stored_at": self.now()}}, upsert=True
            )
