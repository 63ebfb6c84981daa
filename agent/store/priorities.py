"""Other terms for what waits: another priority, another time, another deadline."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agent.errors import IllegalTransition, RequestInvalid
from agent.models import FINAL, REQUEST, Document, Status
from agent.store import changes
from agent.store.base import ids_of
from agent.store.parents import Parents


class Priorities(Parents):
    """What goes first, and when. Of a request of several steps all steps are meant; a batch has too
    many to be changed in one go."""

    def prioritise(self, context_id: Any, priority: int) -> Document:
        """Give a context that is not final, or all such steps of a request, another priority. What
        runs already is only written down.

        Raises:
            ContextNotFound: there is none.
            IllegalTransition: it is final, or a batch.
        """
        return self._amend(context_id, priority=priority)

    def set_deadline(self, context_id: Any, deadline_at: datetime | None) -> Document:
        """Have what is not final, or all such steps of a request, begin by then, or whenever. What
        runs already is only written down: it counts when that has to wait again.

        Raises:
            ContextNotFound: there is none.
            RequestInvalid: that time has passed.
            IllegalTransition: it is final, or a batch.
        """
        if deadline_at is not None and deadline_at <= self.now():
            raise RequestInvalid("`deadline_at` has passed; cancel what is not to run any more")
        return self._amend(context_id, deadline_at=deadline_at)

    def postpone(self, context_id: Any, available_at: datetime) -> Document:
        """Let a scheduled context, or all scheduled steps of a request, wait until another time.

        Raises:
            ContextNotFound: there is none.
            RequestInvalid: that time does not lie ahead, or is behind the deadline.
            IllegalTransition: it is not scheduled, nothing of it is, or it is a batch.
        """
        if available_at <= self.now():
            raise RequestInvalid("`available_at` does not lie ahead; let it run now instead")
        found = self.find_context(context_id)
        _check_deadline(found, available_at)
        if self._is_parent(context_id):
            steps = self._steps_of_request(context_id, found)
            ids = ids_of(step for step in steps if step["status"] == Status.SCHEDULED)
            done = self._write_many(changes.postpone(self.now(), {"$in": ids}, available_at)) > 0
        else:
            done = self._write(changes.postpone(self.now(), {"$eq": context_id}, available_at))
        found = self.find_context(context_id)
        if not done:
            _check_deadline(found, available_at)
            raise IllegalTransition(f"{context_id!r} is {found.get('status')}, not scheduled")
        return found

    def _amend(self, context_id: Any, **terms: Any) -> Document:
        found = self.find_context(context_id)
        if _is_final(found):
            raise IllegalTransition(f"{context_id!r} is {found['status']}: nothing of it waits")
        if self._is_parent(context_id):
            ids = ids_of(self._steps_of_request(context_id, found))
            self._write_many(changes.amend(self.now(), {"$in": ids}, **terms))
        if not self._write(changes.amend(self.now(), {"$eq": context_id}, **terms)):
            status = self.find_context(context_id).get("status")
            raise IllegalTransition(f"{context_id!r} is {status}: nothing of it waits")
        return self.find_context(context_id)

    def _steps_of_request(self, parent_id: Any, parent: Document) -> list[Document]:
        if parent.get("service_type") != REQUEST:
            raise IllegalTransition(f"{parent_id!r} is a batch: ask for its contexts one by one")
        return self.steps_of([parent_id])


def _check_deadline(found: Document, available_at: datetime) -> None:
    deadline = found.get("deadline_at")
    if not _is_final(found) and isinstance(deadline, datetime) and deadline <= available_at:
        raise RequestInvalid("`available_at` is not before its deadline; set another one first")


def _is_final(found: Document) -> bool:
    """Another program may have written anything there."""
    status = found.get("status")
    return isinstance(status, str) and status in FINAL
