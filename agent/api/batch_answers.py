"""From stored batches and their items to what the API answers of them. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent.answers import error_of, rendered_id
from agent.models import Document
from agent.rendering import rendered, to_bytes

COLUMNS = ("row", "id", "status", "user_id", "error_type", "error_message", "results", "data")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of something to be carried out."""


def created_answer(created: Any) -> Document:
    """That a batch is stored, and which rows are no part of it."""
    rows = [{"row": each.row, "error": each.error} for each in created.rejected]
    return {
        "id": created.id, "existing": created.existing, "total": created.total,
        "rejected": {"count": created.rejected_count, "rows": rows},
    }  # fmt: skip


def item_answer(item: Document) -> Document:
    """An item, without what came of it."""
    request = _object(item, "request")
    return {
        "row": row_of(item),
        "id": rendered_id(item["_id"]),
        "status": str(item.get("status")),
        "attempt": item.get("attempt"),
        "error": error_of(item),
        "user_id": request.get("user_id"),
        "data": request.get("data"),
        "started_at": item.get("started_at"),
        "completed_at": item.get("completed_at"),
    }


def row_of(item: Document) -> int | None:
    """The number of its row, which its id ends in."""
    number = str(item["_id"]).rpartition("_")[2]
    return int(number) if number.isascii() and number.isdigit() else None


def as_json_lines(pages: Iterable[Sequence[Document]]) -> Iterator[bytes]:
    """A line of JSON for each item."""
    for page in pages:
        yield b"".join(
            to_bytes({**item_answer(item), "results": item.get("results")}) + b"\n" for item in page
        )


def as_csv(pages: Iterable[Sequence[Document]]) -> Iterator[bytes]:
    """A line of CSV for each item, after the names of the columns; what is no text is JSON."""
    yield _csv([COLUMNS])
    for page in pages:
        yield _csv([_record(item) for item in page])


def _record(item: Document) -> list[str]:
    told = item_answer(item)
    error = told["error"] or {}
    cells = {
        **told, "error_type": error.get("type"), "error_message": error.get("message"),
        "results": item.get("results"),
    }  # fmt: skip
    return [_cell(cells[name]) for name in COLUMNS]


def _cell(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = value if type(value) is str else json.dumps(rendered(value), ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _csv(records: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(records)
    return text.getvalue().encode(errors="replace")


def _object(document: Mapping[str, Any], name: str) -> Document:
    value = document.get(name)
    return value if isinstance(value, dict) else {}
