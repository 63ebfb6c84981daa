"""What the API answers of batches, as types."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from agent.api.shapes import A_TIME, AN_ID, ErrorShape, Id, Progress, Shape
from agent.models import Status


class RejectedRow(Shape):
    """A row that becomes nothing."""

    row: int = Field(description="Counted from 1; in CSV without the header.")
    error: str


class RejectedRows(Shape):
    """Rows that become nothing; what is wrong with one costs only that one."""

    count: int = 0
    rows: list[RejectedRow] = Field(default=[], description="The first 100 of them; not in lists.")


class BatchAccepted(Shape):
    """It is stored, and its items will be carried out."""

    id: str = Field(description="Of the batch.", examples=[AN_ID])
    existing: bool = Field(
        description="Whether it is an earlier, unfinished one with the same `unique_key`."
    )
    total: int = Field(description="How many items it has.")
    rejected: RejectedRows


class BatchProgress(Progress):
    """How far it is."""

    rate: float | None = Field(
        description="Items that became final a second, from its beginning on; null before the "
        "first."
    )
    estimated_end_at: Any = Field(
        description="When it is through at this rate; null when nobody can tell.",
        examples=[A_TIME],
    )


class BatchAnswer(Shape):
    """A batch. Items are counted as soon as they are final, some seconds late at most."""

    id: Id = Field(examples=[AN_ID])
    status: str = Field(description="One of docs/states.md.", examples=[str(Status.PROCESSING)])
    progress: BatchProgress
    rejected: RejectedRows
    is_expanding: bool = Field(description="Whether some of its items are not made yet.")
    error: ErrorShape | None = None
    created_at: Any = Field(default=None, examples=[A_TIME])
    completed_at: Any = Field(default=None, examples=[A_TIME])


class BatchPage(Shape):
    """A page of batches, the newest first."""

    items: list[BatchAnswer]
    next: str | None = Field(description="What to send as `cursor` for the next page.")


class ItemAnswer(Shape):
    """An item of a batch."""

    row: int | None = Field(description="Of what was sent, counted from 1.")
    id: Id = Field(description="Of its request.", examples=[f"{AN_ID}_0000001"])
    status: str = Field(examples=[str(Status.COMPLETED)])
    attempt: int | None = None
    error: ErrorShape | None = None
    user_id: Any = None
    data: Any = Field(description="The row, over what all rows have in common.")


class ItemPage(Shape):
    """A page of items, in the order of their rows."""

    items: list[ItemAnswer]
    next: str | None = Field(description="What to send as `cursor` for the next page.")
