"""`/v1/contexts`: find contexts, see why each is where it is, and change that."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from agent.admission.surroundings import why_of
from agent.answers import context_answer
from agent.api import problem_kinds as kinds
from agent.api.bodies import Body, KeyChoice
from agent.api.doors import Doors
from agent.api.paging import cursor_after, read_cursor
from agent.api.problems import documented
from agent.api.rendering import reply
from agent.api.security import Operator, Reader
from agent.api.selecting import PageQuery
from agent.api.shapes import A_TIME, AN_ID, ContextAnswer, ContextPage, ContextWithWhy
from agent.intake.request import Date
from agent.models import HIGHEST_PRIORITY, LOWEST_PRIORITY
from agent.projections.doorbell import VIEWS

ContextId = Annotated[
    str,
    Path(
        min_length=1,
        description="One that is no string as extended JSON, or the digits of an ObjectId or UUID.",
        examples=[AN_ID],
    ),
]


class PriorityBody(Body):
    """Another priority."""

    priority: int = Field(ge=HIGHEST_PRIORITY, le=LOWEST_PRIORITY)


class PostponeBody(Body):
    """Another time from which it may run."""

    available_at: Date = Field(description="It has to lie ahead.", examples=[A_TIME])


class DeadlineBody(Body):
    """Another deadline, or none."""

    deadline_at: Date | None = Field(
        description="What has not begun by then fails; null takes the deadline away.",
        examples=[A_TIME],
    )


def contexts_router(doors: Doors) -> APIRouter:
    """The routes of single contexts, and the list."""
    router = APIRouter(prefix="/v1/contexts", tags=["contexts"])
    repository, registry = doors.repository, doors.settings.registry
    changes = documented(kinds.NOT_FOUND, kinds.CONFLICT, kinds.REFUSED)

    @router.get("", response_model=ContextPage, responses=documented(kinds.REFUSED))
    def page(_caller: Reader, asked: Annotated[PageQuery, Query()]) -> Response:
        """Contexts without their payload, the newest first. Scope `read`.

        A page with a filter looks through 20,000 contexts: where `next` is set there may be more,
        though it has fewer than `limit`, or none."""
        after = read_cursor(asked.cursor) if asked.cursor is not None else None
        found, following = repository.search(
            asked.selection(registry), limit=asked.limit, after=after
        )
        cursor = cursor_after(*following) if following is not None else None
        return reply({"items": [context_answer(each) for each in found], "next": cursor})

    @router.post("/{context_id:path}/cancel", response_model=ContextAnswer, responses=changes)
    def cancel(_caller: Operator, context_id: ContextId) -> Response:
        """Cancel what is not final; what a running call brings is dropped. Scope `operate`."""
        document = repository.cancel(doors.id_of(context_id))
        doors.bell.ring("settle")
        return reply(context_answer(document))

    @router.post("/{context_id:path}/retry", response_model=ContextAnswer, responses=changes)
    def retry(_caller: Operator, context_id: ContextId, body: KeyChoice | None = None) -> Response:
        """Begin anew what failed or was cancelled, its history kept. Scope `operate`."""
        fresh = body.fresh_key if body is not None else None
        document = repository.retry(doors.id_of(context_id), fresh_key=fresh)
        doors.bell.ring("foreign")
        doors.bell.ring("settle")
        return reply(context_answer(document))

    @router.post("/{context_id:path}/run-now", response_model=ContextAnswer, responses=changes)
    def run_now(_caller: Operator, context_id: ContextId) -> Response:
        """Let a scheduled one wait no longer. Scope `operate`."""
        document = repository.run_now(doors.id_of(context_id))
        doors.bell.ring()
        doors.bell.ring(VIEWS)
        return reply(context_answer(document))

    @router.post("/{context_id:path}/postpone", response_model=ContextAnswer, responses=changes)
    def postpone(_caller: Operator, context_id: ContextId, body: PostponeBody) -> Response:
        """Let a scheduled one, or all scheduled steps of a request, wait until another time. Scope
        `operate`."""
        document = repository.postpone(doors.id_of(context_id), body.available_at)
        doors.bell.ring(VIEWS)
        return reply(context_answer(document))

    @router.post("/{context_id:path}/deadline", response_model=ContextAnswer, responses=changes)
    def set_deadline(_caller: Operator, context_id: ContextId, body: DeadlineBody) -> Response:
        """Give what is not final, or all such steps of a request, another deadline, or none. Scope
        `operate`."""
        document = repository.set_deadline(doors.id_of(context_id), body.deadline_at)
        return reply(context_answer(document))

    @router.post("/{context_id:path}/priority", response_model=ContextAnswer, responses=changes)
    def prioritise(_caller: Operator, context_id: ContextId, body: PriorityBody) -> Response:
        """Give what is not final, or all such steps of a request, another priority, 1 (first) to
        10. Scope `operate`."""
        document = repository.prioritise(doors.id_of(context_id), body.priority)
        return reply(context_answer(document))

    @router.get(
        "/{context_id:path}",
        response_model=ContextWithWhy,
        responses=documented(kinds.NOT_FOUND, kinds.REFUSED),
    )
    def show(_caller: Reader, context_id: ContextId) -> Response:
        """The whole context, every attempt, and why it is where it is. Scope `read`."""
        document = doors.find(context_id)
        return reply(
            {**context_answer(document), "why": why_of(repository, doors.client, document)}
        )

    return router
