"""Batches of a line: how they are asked for, and what must have become of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent.models import Document
from tests.checker import Plan
from tests.faults.line import Line
from tests.faults.web import Web
from tests.waiting import wait_until

PLAN = Plan(parks=())
SAFE = {"COMMUNICATION_BASE_ON_AMBIGUOUS": "retry"}
"""All services may be asked again under the same key."""
MESSAGE: Mapping[str, Any] = {
    "service_type": "COMMUNICATION",
    "service_template": {
        "recipient": "ann", "channel": "mail", "message": "Number {{ request.data.number }}",
    },
}  # fmt: skip
CAMPAIGN: Mapping[str, Any] = {
    "steps": [
        {"key": "draft", "service_type": "GENERATIVE",
         "service_template": {"prompt": "Number {{ request.data.number }}"}},
        {"key": "score", "service_type": "ANALYSIS", "after": ["draft"],
         "service_template": {"text": "{{ inputs.draft.text }}"}},
        {"key": "send", "service_type": "COMMUNICATION", "after": ["draft", "score"],
         "service_template": {
             "recipient": "ann", "channel": "mail", "message": "{{ inputs.draft.text }}"}},
    ]
}  # fmt: skip


def rows(count: int, *, note: int = 0) -> Iterator[bytes]:
    """CSV, a few rows at a time.

    Args:
        note: bytes that each carries beside its number: of large ones few make a chunk.
    """
    yield b"number,note\n"
    text = b"x" * note
    for first in range(0, count, 100):
        numbers = range(first, min(first + 100, count))
        yield b"".join(b"%d,%s\n" % (number, text) for number in numbers)


def ask(web: Web, template: Mapping[str, Any], count: int, *, note: int = 0, **asked: Any) -> str:
    """Upload so many rows; the id of their batch."""
    reply = web.upload(template, rows(count, note=note), **asked)
    assert reply.status_code == 202, reply.text
    assert (reply.json()["total"], reply.json()["existing"]) == (count, False)
    return str(reply.json()["id"])


def items(line: Line, batch_id: str, **fields: Any) -> int:
    """How many items there are with these values."""
    return line.database["contexts"].count_documents({"parent_id": batch_id, **fields})


def done(line: Line, batch_id: str) -> int:
    return items(line, batch_id, status="completed")


def expanded(line: Line, batch_id: str) -> int:
    """How many chunks of its rows are items, while not all of them are."""
    found = line.database["contexts"].find_one({"_id": batch_id}, {"expanding": 1}) or {}
    return int(found.get("expanding", {}).get("next", 0))


def family(line: Line, batch_id: str) -> list[str]:
    """The ids of a batch, its items and their steps."""
    of_batch = {"$gte": batch_id, "$lt": f"{batch_id}_:"}
    found = line.database["contexts"].find({"_id": of_batch}, {"_id": 1})
    return [each["_id"] for each in found]


def ended(line: Line, batch_id: str, timeout: float = 120) -> Document:
    """The batch, once it is final and settle has nothing left to do."""
    line.wait_until_final([batch_id], timeout)
    wait_until(lambda: not line.repository.unsettled(), 30)
    return line.document(batch_id)


def assert_delivered_once(
    line: Line, batch: Document, total: int, *, step: str = "", plan: Plan = PLAN
) -> None:
    """Every row, exactly once by the service's own record, and the batch says so."""
    assert batch["status"] == "completed", batch.get("error")
    assert batch["results"]["progress"] == {
        "total": total, "processed": total, "succeeded": total, "failed": 0, "cancelled": 0,
        "percentage": 100.0,
    }  # fmt: skip
    delivered = [each for each in line.sandbox.delivered() if each.startswith(batch["_id"])]
    assert sorted(delivered) == [f"{batch['_id']}_{row:07d}{step}" for row in range(1, total + 1)]
    line.assert_sound(family(line, batch["_id"]), plan)
    assert line.database["uploads"].count_documents({}) == 0
