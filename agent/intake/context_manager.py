"""Contexts from templates and requests, stored in one insert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from datetime import datetime
from typing import Any, Protocol

from agent.durations import Kept
from agent.errors import NotStorable, RequestInvalid, StoreUnavailable
from agent.intake.callbacks import callback_fields
from agent.intake.families import COMPLETE_WITHIN, Terms, children_of, parent_of
from agent.intake.values import as_date, shown
from agent.models import (
    DEFAULT_PRIORITY,
    Context,
    Document,
    RequestData,
    Status,
    Step,
    Template,
    WaitReason,
    clamp_priority,
    new_id,
)
from agent.services import ServiceRegistry
from agent.settings import Settings
from agent.store.connection import encoded_size
from agent.store.retention import retention_fields

MAX_CONTEXT_BYTES = 15 * 1024 * 1024
"""A document holds 16 MB, and the attempts, a lease and an error come on top."""
MAX_DEPTH = 90
"""Objects and lists within each other; MongoDB's own limit is 100, and the document is around."""


class ContextStore(Protocol):
    """Where contexts are kept."""

    def insert_contexts(self, documents: list[Document]) -> None:
        """Insert them all; `NotStorable` or `StoreUnavailable` otherwise."""
        ...

    def insert_family(self, parent: Document, children: Sequence[Document]) -> None:
        """Insert a parent and then its children; what is there already stays."""
        ...

    def find_status(self, context_id: Any) -> Status | None:
        """The status of a context."""
        ...

    def cancel_children(self, parent_id: str) -> bool:
        """Cancel what is not final of a parent."""
        ...


class ContextManager:
    """Makes contexts and stores them.

    Args:
        clock: the database's time, in UTC.
    """

    def __init__(
        self,
        repository: ContextStore,
        clock: Callable[[], datetime],
        registry: ServiceRegistry,
        settings: Settings,
    ) -> None:
        self._repository = repository
        self._clock = clock
        self._registry = registry
        self._max_attempts = {
            service.name: settings.service(service).max_attempts for service in registry.values()
        }

    def storing_in(self, store: ContextStore) -> ContextManager:
        """One like this that keeps its contexts there: within a transaction of whoever calls."""
        other = copy(self)
        other._repository = store
        return other

    def create_service_context(
        self,
        template: Template,
        request: RequestData,
        *,
        priority: int = DEFAULT_PRIORITY,
        available_at: datetime | None = None,
        deadline_at: datetime | None = None,
        tags: Any = None,
        metadata: Any = None,
        source: str = "api",
        max_attempts: int | None = None,
        id: str | None = None,
        callback_url: str | None = None,
        retention: Kept | None = None,
    ) -> Context:
        """Create one context: pending, or scheduled when `available_at` lies ahead.

        Args:
            id: a new one when there is none.
            callback_url: where its end is told.
            retention: how long it is kept once it is final.

        Raises:
            RequestInvalid: an unknown service type, a deadline before the start, or a document
                that MongoDB cannot hold.
            AlreadyStored: there is a context of this id.
            StoreUnavailable: MongoDB did not answer.
        """
        [context] = self.create_many(
            template,
            [request],
            priority=priority,
            available_at=available_at,
            deadline_at=deadline_at,
            tags=tags,
            metadata=metadata,
            source=source,
            max_attempts=max_attempts,
            ids=None if id is None else [id],
            callback_url=callback_url,
            retention=retention,
        )
        return context

    def create_many(
        self,
        template: Template,
        requests: Sequence[RequestData],
        *,
        priority: int = DEFAULT_PRIORITY,
        available_at: datetime | None = None,
        deadline_at: datetime | None = None,
        tags: Any = None,
        metadata: Any = None,
        source: str = "api",
        max_attempts: int | None = None,
        ids: Sequence[str] | None = None,
        callback_url: str | None = None,
        retention: Kept | None = None,
    ) -> list[Context]:
        """Create one context for each request, in one insert; none at all if one is wrong.

        Args:
            ids: of the contexts, one for each request; new ones when there are none.
            callback_url: where the end of each is told.
            retention: how long each is kept once it is final.

        Raises:
            RequestInvalid: as for one; the message counts the requests from 1.
            StoreUnavailable: MongoDB did not answer.
        """
        now = self._clock()
        service = self._registry[template.service_type]
        due, deadline = check_times(now, available_at, deadline_at)
        contexts = [
            Context(
                id=context_id,
                service_type=service.name,
                status=Status.SCHEDULED if due > now else Status.PENDING,
                wait_reason=WaitReason.DELAY if due > now else None,
                priority=clamp_priority(priority),
                template=template,
                request=request,
                tags={} if tags is None else tags,
                metadata={} if metadata is None else metadata,
                source=source,
                created_at=now,
                updated_at=now,
                available_at=max(due, now),
                deadline_at=deadline,
                max_attempts=max_attempts or self._max_attempts[service.name],
                **callback_fields(callback_url),
                **retention_fields(retention),
            )
            for context_id, request in zip(
                ids or [new_id("ctx") for _ in requests], requests, strict=True
            )
        ]
        if contexts:
            self._insert(contexts)
        return contexts

    def create_request(
        self,
        steps: Sequence[Step],
        request: RequestData,
        *,
        template_id: str,
        template_version: str,
        priority: int = DEFAULT_PRIORITY,
        available_at: datetime | None = None,
        deadline_at: datetime | None = None,
        tags: Any = None,
        metadata: Any = None,
        source: str = "api",
        max_attempts: int | None = None,
        retention: Kept | None = None,
        id: str | None = None,
        callback_url: str | None = None,
    ) -> Context:
        """Create a request of several steps: a parent, and a child for each step.

        The parent comes first. A creation that was interrupted is finished by doing it again with
        the same `id`; settle fails what nobody finishes.

        Args:
            retention: how long all of it is kept once it is final.
            id: of the parent; a new one when there is none.
            callback_url: where its end is told.

        Returns:
            The parent.

        Raises:
            RequestInvalid: as for one context, or the steps do not belong together.
            StoreUnavailable: MongoDB did not answer, or so late that the request has failed.
        """
        now = self._clock()
        due, deadline = check_times(now, available_at, deadline_at)

        def limit(step: Step) -> int:
            service = self._registry[step.template.service_type]
            return step.max_attempts or max_attempts or self._max_attempts[service.name]

        terms = Terms(
            priority=priority, now=now, due=max(due, now), deadline_at=deadline, tags=tags,
            metadata=metadata, source=source, max_attempts=limit, retention=retention,
        )  # fmt: skip
        parent = parent_of(
            steps, request, terms,
            template_id=template_id, template_version=template_version, id=id,
            callback_url=callback_url,
        )  # fmt: skip
        self._insert_family(parent, children_of(parent.id, steps, request, terms))
        return parent

    def _insert_family(self, parent: Context, children: Sequence[Context]) -> None:
        # what is in flight is found by its time, which a parent does not have
        document = {**storable_document(parent), "available_at": None}
        documents = [_of_step(child) for child in children]
        try:
            self._repository.insert_family(document, documents)
        except NotStorable as exc:
            raise RequestInvalid(f"the request cannot be stored: {exc}") from exc
        if self._clock() - parent.created_at < COMPLETE_WITHIN / 2:
            return
        if self._repository.find_status(parent.id) is not Status.PROCESSING:
            self._repository.cancel_children(parent.id)
            raise StoreUnavailable("storing the request took so long that it counts as failed")

    def _insert(self, contexts: Sequence[Context]) -> None:
        documents: list[Document] = []
        for number, context in enumerate(contexts, 1):
            try:
                documents.append(storable_document(context))
            except RequestInvalid as exc:
                which = f"request {number} of {len(contexts)}: " if len(contexts) > 1 else ""
                raise RequestInvalid(f"{which}{exc}") from exc
        try:
            self._repository.insert_contexts(documents)
        except NotStorable as exc:
            raise RequestInvalid(f"the context cannot be stored: {exc}") from exc


def check_times(
    now: datetime, available_at: datetime | None, deadline_at: datetime | None
) -> tuple[datetime, datetime | None]:
    """Since when something new may run, and until when.

    Raises:
        RequestInvalid: the deadline comes first.
    """
    due = as_date(available_at) or now
    deadline = as_date(deadline_at)
    if deadline is not None and deadline <= max(due, now):
        raise RequestInvalid("`deadline_at` is not after the time from which it may run")
    return due, deadline


def _of_step(child: Context) -> Document:
    try:
        return storable_document(child)
    except RequestInvalid as exc:
        raise RequestInvalid(f"step {shown(child.step)}: {exc}") from exc


def storable_document(context: Context) -> Document:
    """The document of a new context, if MongoDB can hold it.

    Raises:
        RequestInvalid: it is too large or too deep, or has a value that BSON does not have.
    """
    for name in ("request", "template", "tags", "metadata"):
        check_depth(name, getattr(context, name))
    document = context.to_document()
    try:
        size = encoded_size(document)
    except NotStorable as exc:
        raise RequestInvalid(f"the context cannot be stored: {exc}") from exc
    if size > MAX_CONTEXT_BYTES:
        raise RequestInvalid(
            f"the context has {size / 2**20:.1f} MB; at most {MAX_CONTEXT_BYTES // 2**20} MB are "
            "stored, so hand large data over by reference"
        )
    return document


def check_depth(name: str, value: object) -> None:
    """Refuse objects and lists that lie more deeply within each other than MongoDB takes.

    Raises:
        RequestInvalid: naming the field.
    """
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise RequestInvalid(
        f"{shown(name)} holds more than {MAX_DEPTH} objects or lists within each other"
    )


def _inside(value: object) -> list[object]:
    """The objects and lists directly in a value."""
    if isinstance(value, Template | RequestData):
        value = dict(value)
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return []
    return [item for item in value if isinstance(item, dict | list | tuple)]
