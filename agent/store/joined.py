"""Inserts that join a transaction of whoever calls: what it aborts was never there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.client_session import ClientSession

from agent.errors import NotStorable, StoreUnavailable
from agent.models import Document, Status
from agent.store.connection import translated
from agent.store.operations import Operations

PASSING = "TransientTransactionError"
"""The driver's word for what the whole transaction, done again, may mend."""


class Joined:
    """Where contexts are kept, within one transaction of one caller.

    What may be mended by doing the whole transaction again is raised as the driver does, so that
    its `with_transaction` does so.

    Args:
        session: of the same client as the repository, with a transaction in progress.
    """

    def __init__(self, repository: Operations, session: ClientSession) -> None:
        self._repository = repository
        self._session = session

    def insert_contexts(self, documents: list[Document]) -> None:
        """Insert them all, as part of the transaction.

        Raises:
            NotStorable: MongoDB refuses one of them; the transaction is at its end.
            StoreUnavailable: MongoDB did not answer.
        """
        try:
            with translated():
                self._repository.contexts.insert_many(documents, session=self._session)
        except (NotStorable, StoreUnavailable) as exc:
            cause = exc.__cause__
            if cause is not None and _is_passing(cause):
                raise cause from None
            raise

    def insert_family(self, parent: Document, children: Sequence[Document]) -> None:
        """Insert a parent and its children: in a transaction all of them, or none."""
        self.insert_contexts([parent, *children])

    def find_status(self, context_id: Any) -> Status | None:
        """As the transaction sees it: what it has inserted is what was inserted."""
        return Status.PROCESSING

    def cancel_children(self, parent_id: str) -> bool:
        """There is none without its parent."""
        return True


def _is_passing(cause: BaseException) -> bool:
    has_label = getattr(cause, "has_error_label", None)
    return has_label is not None and bool(has_label(PASSING))
