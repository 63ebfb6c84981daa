"""A batch: what it may say, and what its rows are before they become items. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field

from agent.intake.request import Request, read_as

MOST_ROWS = 1_000_000
REJECTED_TOLD = 100
"""Rejected rows that are told one by one; the others are counted."""


class Mode(StrEnum):
    """What becomes of the rows of a batch."""

    EACH = "each"
    """Each becomes a request of its own."""
    WHOLE = "whole"
    """All of them are the `data.items` of one request."""


class Batch(Request):
    """What somebody asks for over many rows: a request, but for the data that each row brings."""

    mode: Mode = Field(default=Mode.EACH, strict=False)


def read_batch(body: Mapping[str, Any]) -> Batch:
    """The batch that a parsed body holds.

    Raises:
        RequestInvalid: every problem is named, with its field.
    """
    return read_as(Batch, body, "the batch")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch.

    Args:
        number: counted from 1; in JSON lines of its line, in CSV without the header.
        data: an object, if all is well.
        is_text: its values are all text, as in CSV, whatever they stand for.
    """

    number: int
    data: Any
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that becomes nothing, and why."""

    row: int
    error: str


def rows_of(items: list[Any]) -> list[Row]:
    """The rows of a list."""
    return [Row(number, item) for number, item in enumerate(items, 1)]
