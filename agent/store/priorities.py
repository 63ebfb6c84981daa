"""Another priority for what waits."""

from __future__ import annotations

from typing import Any

from agent.errors import IllegalTransition
from agent.models import FINAL, OPEN, REQUEST, Document
from agent.store.base import ids_of
from agent.store.changes import Write
from agent.store.parents import Parents


class Priorities(Parents):
    """What goes first."""

    def prioritise(self, context_id: Any, priority: int) -> Document:
        """Give a context that is not final, or all such steps of a request, another priority. What
        runs already is only written down.

        Raises:
            ContextNotFound: there is none.
            IllegalTransition: it is final, or a batch.
        """
        found = self.find_context(context_id)
        if found.get("status") in FINAL:
            raise IllegalTransition(f"{context_id!r} is {found['status']}: nothing of it waits")
        if self._is_parent(context_id):
            if found.get("service_type") != REQUEST:
                raise IllegalTransition(f"{context_id!r} is a batch: its contexts have priorities")
            steps = ids_of(self.steps_of([context_id]))
            self._write_many(self._prioritised({"$in": steps}, priority))
        if not self._write(self._prioritised({"$eq": context_id}, priority)):
            raise IllegalTransition(f"{context_id!r} has just become final")
        return self.find_context(context_id)

    def _prioritised(self, ids: Document, priority: int) -> Write:
        return Write(
            {"_id": ids, "status": {"$in": sorted(map(str, OPEN))}},
            {"$set": {"priority": priority, "updated_at": self.now()}},
        )
