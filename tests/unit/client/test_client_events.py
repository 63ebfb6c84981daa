"""Server-sent events, read from bytes as they come."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.client.events import EventStream

TEXT = "Zeile\u2028zwei \U0001f600"


def told(name: str, id: str, status: str, **more: Any) -> str:
    data = json.dumps({"id": id, "status": status, **more}, ensure_ascii=False)
    return f"event: {name}\ndata: {data}\nid: {status}\n\n"


STREAM = (
    "retry: 500\n: listening\n\n" + told("step", "r_a", "pending", text=TEXT)
    + ": still there\n\n" + told("step", "r_a", "pending", text=TEXT) + "data: no JSON\n\n"
    + told("request", "r", "processing") + told("step", "r_a", "completed")
    + told("request", "r", "completed") + told("step", "r_a", "failed")
)  # fmt: skip
EXPECTED = [
    ("step", "pending"), ("request", "processing"), ("step", "completed"), ("request", "completed"),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_are_read_however_they_are_cut(size: int, end: str) -> None:
    """Each state once, until the whole is final; what separates lines in Unicode does not here."""
    data = STREAM.replace("\n", end).encode()
    stream = EventStream("r")
    found = []
    for start in range(0, len(data), size):
        if stream.is_over:
            break
        found += list(stream.take(data[start : start + size]))
    assert [(each.name, each.status) for each in found] == EXPECTED
    assert found[0].data["text"] == TEXT
    assert stream.is_over
    assert 0.25 <= stream.pause <= 0.5


def test_the_next_connection_goes_on_behind_the_last() -> None:
    """With the last id; what was half there is forgotten, and what was told is not told again."""
    stream = EventStream("r")
    assert "Last-Event-ID" not in stream.headers
    first = told("step", "r_a", "pending")
    assert len(list(stream.take(f"{first}event: request\ndata: {{".encode()))) == 1
    assert stream.headers["Last-Event-ID"] == "pending"
    stream.begin()
    [event] = stream.take((first + told("step", "r_a", "queued")).encode())
    assert event.status == "queued"
