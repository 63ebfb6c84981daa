"""`/v1/contexts/retry` and `/v1/contexts/cancel`: all that match, and what failed by kind."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from agent.answers import rendered_id
from agent.api import problem_kinds as kinds
from agent.api.doors import Doors
from agent.api.problems import documented
from agent.api.rendering import reply
from agent.api.security import Operator, Reader
from agent.api.selecting import BulkBody, BulkRetryBody, Word
from agent.api.shapes import BulkAnswer, DeadLetterAnswer
from agent.intake.request import Date
from agent.store.bulk import Progress
from agent.store.spread import Spread


class DeadLetterQuery(BaseModel):
    """Which failures."""

    model_config = ConfigDict(extra="forbid")

    service: Word | None = None
    since: Date | None = Field(default=None, description="Only what failed then or later.")


def bulk_router(doors: Doors) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1", tags=["contexts"])
    repository, registry = doors.repository, doors.settings.registry

    @router.post("/contexts/retry", response_model=BulkAnswer, responses=documented(kinds.REFUSED))
    def retry(_caller: Operator, body: BulkRetryBody) -> Response:
        """Begin anew all that failed (or, with `status`, were cancelled) and match; times are those
        of the failure. Scope `operate`."""
        selection = body.selection(registry)
        if body.dry_run:
            return reply(_counted(repository.count_retriable(selection), repository.now()))
        rate = body.per_minute
        progress = repository.retry_matching(
            selection, limit=body.limit, fresh_key=body.fresh_key,
            spread=Spread(repository.now(), rate) if rate is not None else None,
        )  # fmt: skip
        doors.bell.ring("foreign")
        doors.bell.ring("settle")
        return reply(_told(progress, body.limit))

    @router.post("/contexts/cancel", response_model=BulkAnswer, responses=documented(kinds.REFUSED))
    def cancel(_caller: Operator, body: BulkBody) -> Response:
        """Cancel all that match and are not final; times are those of the creation. Scope
        `operate`."""
        selection = body.selection(registry)
        if body.dry_run:
            return reply(_counted(repository.count_cancellable(selection), repository.now()))
        progress = repository.cancel_matching(selection, limit=body.limit)
        doors.bell.ring("settle")
        return reply(_told(progress, body.limit))

    @router.get(
        "/dead-letters", response_model=DeadLetterAnswer, responses=documented(kinds.REFUSED)
    )
    def dead_letters(_caller: Reader, asked: Annotated[DeadLetterQuery, Query()]) -> Response:
        """What failed, by kind: the service, and the error without what differs from one to the
        next. Scope `read`."""
        service = registry.find(asked.service)
        name = service.name if service is not None else asked.service
        found = repository.dead_letters(service_type=name, since=asked.since)
        listed = [
            {**asdict(each), "example_id": rendered_id(each.example_id)} for each in found.kinds
        ]
        return reply({"kinds": listed, "is_complete": found.is_complete})

    return router


def _counted(count: int, now: object) -> dict[str, object]:
    return {"dry_run": True, "matched": count, "changed": 0, "moved_on": 0, "refused": 0,
            "until": now, "is_complete": True}  # fmt: skip


def _told(progress: Progress, limit: int) -> dict[str, object]:
    return {"dry_run": False, **asdict(progress), "is_complete": progress.changed < limit}
