"""`/v1/batches`: see what becomes of batches and their items, and change that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from agent.answers import batch_answer
from agent.api import paging
from agent.api import problem_kinds as kinds
from agent.api.batch_answers import as_csv, as_json_lines, item_answer
from agent.api.batch_shapes import BatchAnswer, BatchPage, ItemPage
from agent.api.bodies import KeyChoice
from agent.api.doors import Doors
from agent.api.problems import documented
from agent.api.rendering import reply
from agent.api.security import Operator, Reader
from agent.api.shapes import AN_ID
from agent.intake.rows import RowFormat
from agent.models import BATCH, Document, Status

MOST_LISTED = 200

BatchId = Annotated[str, Path(description="As it was answered.", examples=[AN_ID])]
MEDIA_TYPES = {RowFormat.JSONL: "application/x-ndjson", RowFormat.CSV: "text/csv"}


class BatchQuery(BaseModel):
    """A page of batches."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    limit: int = Field(default=paging.DEFAULT, ge=1, le=MOST_LISTED)
    cursor: str | None = Field(default=None, max_length=paging.LONGEST_CURSOR,
                               description="`next` of the page before.")  # fmt: skip


class ItemQuery(BaseModel):
    """A page of items."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=paging.DEFAULT, ge=1, le=MOST_LISTED)
    cursor: str | None = Field(default=None, max_length=paging.LONGEST_CURSOR,
                               description="`next` of the page before.")  # fmt: skip


class ResultsQuery(BaseModel):
    """Which results, and how they are written."""

    model_config = ConfigDict(extra="forbid")

    format: RowFormat = RowFormat.JSONL
    status: Status | None = Field(default=None, description="Only of items that have this one.")


def find(doors: Doors, batch_id: str) -> Document:
    """The batch that a path means.

    Raises:
        ContextNotFound: there is none.
    """
    return doors.repository.find_batch(batch_id)


def answer_of(doors: Doors, batch: Document) -> Document:
    """What has become of a batch."""
    return batch_answer(batch, doors.repository.now())


def batches_router(doors: Doors) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/batches", tags=["batches"])
    repository = doors.repository
    known = documented(kinds.NOT_FOUND)

    @router.get("", response_model=BatchPage, responses=documented(kinds.REFUSED))
    def page(_caller: Reader, asked: Annotated[BatchQuery, Query()]) -> Response:
        """Batches, the newest first. Scope `read`."""
        after = paging.read_cursor(asked.cursor) if asked.cursor is not None else None
        found = repository.page_of_parents(
            BATCH, limit=asked.limit, status=asked.status, after=after
        )
        told = [answer_of(doors, each) for each in found]
        last = found[-1] if len(found) == asked.limit else None
        following = paging.cursor_after(last["created_at"], last["_id"]) if last else None
        return reply({"items": told, "next": following})

    @router.get("/{batch_id}", response_model=BatchAnswer, responses=known)
    def show(_caller: Reader, batch_id: BatchId) -> Response:
        """What has become of a batch. Scope `read`."""
        return reply(answer_of(doors, repository.find_batch(batch_id)))

    @router.post(
        "/{batch_id}/cancel",
        response_model=BatchAnswer,
        responses=documented(kinds.NOT_FOUND, kinds.CONFLICT),
    )
    def cancel(_caller: Operator, batch_id: BatchId) -> Response:
        """Cancel a batch, with all of its items that are not final. Scope `operate`."""
        repository.cancel(repository.find_batch(batch_id)["_id"])
        doors.bell.ring("settle")
        return reply(answer_of(doors, repository.find_batch(batch_id)))

    @router.post(
        "/{batch_id}/retry",
        response_model=BatchAnswer,
        responses=documented(kinds.NOT_FOUND, kinds.CONFLICT, kinds.REFUSED),
    )
    def retry(_caller: Operator, batch_id: BatchId, body: KeyChoice | None = None) -> Response:
        """Begin anew what failed or was cancelled of a batch. Scope `operate`."""
        fresh = body.fresh_key if body is not None else None
        repository.retry(repository.find_batch(batch_id)["_id"], fresh_key=fresh)
        doors.bell.ring("foreign")
        doors.bell.ring("settle")
        return reply(answer_of(doors, repository.find_batch(batch_id)))

    @router.get(
        "/{batch_id}/items",
        response_model=ItemPage,
        responses=documented(kinds.NOT_FOUND, kinds.REFUSED),
    )
    def items(_caller: Reader, batch_id: BatchId, asked: Annotated[ItemQuery, Query()]) -> Response:
        """Items in the order of their rows, without their results. Scope `read`."""
        repository.find_batch(batch_id)
        after = paging.read_id(asked.cursor) if asked.cursor is not None else None
        found = repository.items_of(batch_id, after=after, limit=asked.limit)
        following = paging.cursor_behind(found[-1]["_id"]) if len(found) == asked.limit else None
        return reply({"items": [item_answer(each) for each in found], "next": following})

    @router.get(
        "/{batch_id}/results",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "A line for each item, in the order of their rows.",
                "content": {each: {"schema": {"type": "string"}} for each in MEDIA_TYPES.values()},
            },
            **known,
        },
    )
    def results(
        _caller: Reader, batch_id: BatchId, asked: Annotated[ResultsQuery, Query()]
    ) -> Response:
        """All items with what came of them, as a download: JSON lines, or CSV, in which what
        begins like a formula has a `'` before it. What is not final yet is there, too, with its
        status. A download that breaks off ends without its last chunk. Scope `read`."""
        return download(doors, batch_id, asked.format, asked.status)

    return router


def download(
    doors: Doors, batch_id: str, format: RowFormat, status: Status | None = None
) -> Response:
    """All items of a batch with what came of them.

    Raises:
        ContextNotFound: there is no such batch.
    """
    doors.repository.find_batch(batch_id)
    write = as_csv if format is RowFormat.CSV else as_json_lines
    name = f'attachment; filename="results.{format}"'
    return StreamingResponse(
        write(_pages(doors, batch_id, status)),
        media_type=MEDIA_TYPES[format],
        headers={"Content-Disposition": name, "X-Content-Type-Options": "nosniff"},
    )


def _pages(doors: Doors, batch_id: str, status: Status | None) -> Iterator[list[Document]]:
    for page in doors.repository.read_items(batch_id):
        yield [each for each in page if status is None or each.get("status") == status]
